//! Multi-state survival, mean cumulative count, standardised ratios and the survival Lexis table against R
//! (tests/reference/states.R, net_survival.R), split over sites.

use tributary::{cohort::SiteTables, estimate::Estimate};

use crate::{
    net_survival::{life_table, rdata, sire},
    pooling::{Frame, close, number, reference, tol},
    survival_oracles::lung,
};

fn fit(frame: &Frame, model: &str, parts: &[Vec<usize>]) -> Estimate {
    frame.pool(&format!("[[model]]\nid = \"m\"\n{model}"), parts).remove("m").unwrap()
}

#[test]
fn state_probabilities_equal_survfit_whatever_the_split() {
    let frame = Frame::read(
        "mgus_states.csv",
        "[dictionary.start]\ntype = \"days\"\nlabel = \"Start\"\n\
         [dictionary.stop]\ntype = \"days\"\nlabel = \"Stop\"\nrange = [0, 900]\n\
         [dictionary.state]\ntype = \"category\"\nlabel = \"State\"\nlevels = [\"mgus\", \"pcm\"]\n\
         [dictionary.nxt]\ntype = \"category\"\nlabel = \"Next\"\nlevels = [\"mgus\", \"pcm\", \"dead\", \"censored\"]\n",
    );
    let wanted = reference("states_reference.csv");
    let times: Vec<String> =
        [120.0, 240.0, 480.0].iter().map(|t| (t / 365.25).to_string()).collect();
    let model = format!(
        "kind = \"multi_state\"\nstate = \"state\"\nstates = [\"mgus\", \"pcm\", \"dead\"]\ntimes_years = [{}]\n\
         followup = {{ time = \"stop\", entry = \"start\", event = \"nxt\" }}\n",
        times.join(", ")
    );
    for sites in [1, 5, 40] {
        let m = fit(&frame, &model, &frame.deal(sites));
        for (t, at) in [120, 240, 480].iter().zip(&times) {
            for (ours, r) in [("mgus", "(s0)"), ("pcm", "pcm"), ("dead", "dead")] {
                let keys = [("state", ours), ("time_years", at.as_str())];
                let found = number(&m, "times", &keys, "estimate");
                close(
                    found,
                    wanted[&format!("pstate/{t}_{r}/p")],
                    tol::CLOSED,
                    &format!("{t} {ours}"),
                );
            }
        }
    }
}

/// Alive or dead: Aalen–Johansen is Kaplan–Meier, its variance Greenwood's.
#[test]
fn two_states_are_kaplan_meier() {
    let frame = lung();
    let shared = "times_years = [0.5, 1, 2]\nfollowup = { time = \"time\", event = \"event\" }\n";
    let model = format!(
        "[[model]]\nid = \"m\"\nkind = \"multi_state\"\nstates = [\"0\", \"1\"]\n{shared}[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\n{shared}"
    );
    let all = frame.pool(&model, &frame.deal(5));
    for years in ["0.5", "1", "2"] {
        for column in ["estimate", "std_error"] {
            let km = number(&all["km"], "times", &[("time_years", years)], column);
            for state in if column == "estimate" { &["0"][..] } else { &["0", "1"][..] } {
                let keys = [("state", *state), ("time_years", years)];
                close(number(&all["m"], "times", &keys, column), km, tol::CLOSED, column);
            }
        }
    }
}

/// By hand: of four healthy one falls ill on day 2, of three left one dies on day 3, the ill one dies on day 4. A healthy person's
/// follow-up cut in two is one sojourn that goes on, no transition.
#[test]
fn a_sojourn_cut_in_two_is_no_transition() {
    let copies = 10;
    let rows = |cut: bool| {
        // Person, state, start, stop, next state; 0 healthy, 1 ill, 2 dead, 3 censored.
        let mut rows = vec![[0, 0, 0, 2, 1], [0, 1, 2, 4, 2], [1, 0, 0, 3, 2], [3, 0, 0, 6, 3]];
        rows.extend(if cut {
            vec![[2, 0, 0, 1, 0], [2, 0, 1, 5, 3]]
        } else {
            vec![[2, 0, 0, 5, 3]]
        });
        rows
    };
    let fit = |cut: bool| {
        let rows: Vec<[i32; 5]> = (0..copies)
            .flat_map(|c| rows(cut).into_iter().map(move |[p, s, a, b, n]| [4 * c + p, s, a, b, n]))
            .collect();
        let column = |i: usize| rows.iter().map(|r| f64::from(r[i])).collect::<Vec<f64>>();
        let frame = Frame::of(
            &[
                ("id", column(0)),
                ("state", column(1)),
                ("start", column(2)),
                ("stop", column(3)),
                ("nxt", column(4)),
            ],
            "[dictionary.id]\ntype = \"integer\"\nlabel = \"Person\"\n\
             [dictionary.start]\ntype = \"days\"\nlabel = \"Start\"\n\
             [dictionary.stop]\ntype = \"days\"\nlabel = \"Stop\"\nrange = [0, 9]\n\
             [dictionary.state]\ntype = \"category\"\nlabel = \"State\"\nlevels = [\"0\", \"1\", \"2\", \"3\"]\n\
             [dictionary.nxt]\ntype = \"category\"\nlabel = \"Next\"\nlevels = [\"0\", \"1\", \"2\", \"3\"]\n",
        );
        let at = [2.0, 3.0, 4.0].map(|t: f64| (t / 365.25).to_string());
        let model = format!(
            "[[model]]\nid = \"m\"\nkind = \"multi_state\"\nstate = \"state\"\nstates = [\"0\", \"1\", \"2\"]\nperson = \"id\"\n\
             times_years = [{}]\nfollowup = {{ time = \"stop\", entry = \"start\", event = \"nxt\" }}\n",
            at.join(", ")
        );
        let m = frame.pool(&model, &[(0..rows.len()).collect()]).remove("m").unwrap();
        let transitions = m.table("transitions").unwrap();
        assert_eq!(transitions.rows.len(), 3);
        for r in 0..3 {
            assert_ne!(transitions.text(r, "from"), transitions.text(r, "to"));
            assert_eq!(transitions.number(r, "n_event"), Some(f64::from(copies)));
        }
        at.map(|t| {
            ["0", "1", "2"]
                .map(|s| number(&m, "times", &[("state", s), ("time_years", &t)], "estimate"))
        })
    };
    let wanted = [[0.75, 0.25, 0.0], [0.5, 0.25, 0.25], [0.5, 0.0, 0.5]];
    for found in [fit(false), fit(true)] {
        for (f, w) in found.iter().flatten().zip(wanted.iter().flatten()) {
            assert!((f - w).abs() < 1e-12, "{found:?}");
        }
    }
}

#[test]
fn mean_cumulative_counts_equal_survfit_with_ids() {
    let frame = Frame::read(
        "cgd.csv",
        "[dictionary.id]\ntype = \"integer\"\nlabel = \"Patient\"\n\
         [dictionary.start]\ntype = \"days\"\nlabel = \"Start\"\n\
         [dictionary.stop]\ntype = \"days\"\nlabel = \"Stop\"\nrange = [0, 500]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Infection\"\n",
    );
    let wanted = reference("states_reference.csv");
    let times: Vec<String> =
        [100.0, 200.0, 300.0].iter().map(|t| (t / 365.25).to_string()).collect();
    let model = format!(
        "kind = \"mean_cumulative_count\"\nrecurrent = [\"1\"]\nperson = \"id\"\ntimes_years = [{}]\n\
         followup = {{ time = \"stop\", entry = \"start\", event = \"event\" }}\n",
        times.join(", ")
    );
    // A patient's stretches stay together, as they would in a country.
    let by_person = |sites: usize| {
        let mut parts = vec![Vec::new(); sites];
        for (row, id) in frame.text("id").iter().enumerate() {
            parts[id.parse::<usize>().unwrap() % sites].push(row);
        }
        parts
    };
    for sites in [1, 5] {
        let m = fit(&frame, &model, &by_person(sites));
        for (t, at) in [100, 200, 300].iter().zip(&times) {
            for (stat, column) in [("count", "estimate"), ("se", "std_error")] {
                let found = number(&m, "times", &[("time_years", at)], column);
                close(found, wanted[&format!("cgd/{t}/{stat}")], 1e-9, &format!("{t} {stat}"));
            }
        }
    }
}

#[test]
fn standardised_ratios_have_exact_limits() {
    let mut frame = rdata();
    frame.tables = SiteTables {
        life_table: Some(life_table("slopop.csv")),
        rates: Some(life_table("slopop.csv")),
        ..SiteTables::default()
    };
    let model = "kind = \"standardised_ratio\"\nby = \"sex\"\nbands_years = [1, 5, 10]\n\
                 background = { sex = \"sex\", age = \"age_days\", date = \"date\" }\n\
                 followup = { time = \"time\", event = \"dead\" }\n";
    let (one, five) = (fit(&frame, model, &frame.deal(1)), fit(&frame, model, &frame.deal(5)));
    for (a, b) in one.tables.iter().zip(&five.tables) {
        for (x, y) in a.rows.iter().flatten().zip(b.rows.iter().flatten()) {
            if let (Some(x), Some(y)) = (x.as_number(), y.as_number()) {
                close(y, x, tol::CLOSED, &a.name);
            }
        }
    }
    let table = one.table("ratios").unwrap();
    let row = (0..table.rows.len()).find(|&r| table.text(r, "band") == "all").unwrap();
    let at = |column: &str| table.number(row, column).unwrap();
    close(at("ratio"), at("observed") / at("expected"), tol::CLOSED, "ratio");
    let excess = (at("observed") - at("expected")) / at("person_years") * 1e4;
    close(at("excess"), excess, tol::CLOSED, "excess");
    assert!(at("ratio_low") < at("ratio") && at("ratio") < at("ratio_high"));
    assert_eq!(one.table("tests").unwrap().rows.len(), 2);
    // Groups differ: 2 Σ O ln((O / E) / (ΣO / ΣE)), once the bands are summed.
    let mut sums: std::collections::BTreeMap<String, [f64; 2]> = std::collections::BTreeMap::new();
    for r in 0..table.rows.len() {
        let (group, band) = (table.text(r, "group"), table.text(r, "band"));
        if group != "all" && band != "all" {
            let sum = sums.entry(group.to_owned()).or_default();
            sum[0] += table.number(r, "observed").unwrap();
            sum[1] += table.number(r, "expected").unwrap();
        }
    }
    assert_eq!(sums.len(), 2);
    let [o, e] = [0, 1].map(|i| sums.values().map(|s| s[i]).sum::<f64>());
    let wanted: f64 = sums.values().map(|s| 2.0 * s[0] * ((s[0] / s[1]) / (o / e)).ln()).sum();
    close(
        number(&one, "tests", &[("test", "between groups")], "statistic"),
        wanted,
        1e-8,
        "groups",
    );
}

/// Published: 7 observed, 2.1 expected: 3.3333 (1.3401729 to 6.8679406); none of 1.3: 0 (0 to 2.8375996).
#[test]
fn published_exact_limits_come_out() {
    let people = |n: usize, deaths: usize| {
        let time = vec![365.0; n];
        let event: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i < deaths))).collect();
        (time, event)
    };
    for (observed, expected, ratio, low, high) in [
        (7, 2.1, 10.0 / 3.0, 1.3401729, 6.8679406),
        (0, 1.3, 0.0, 0.0, 2.8375996),
        (1, 0.05, 20.0, 0.5063562, 111.43287),
    ] {
        let n = 100;
        let (time, event) = people(n, observed);
        let mut frame = Frame::of(
            &[("time", time), ("event", event), ("age", vec![3.0; n]), ("date", vec![10_000.0; n])],
            "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 2000]\n\
             [dictionary.event]\ntype = \"flag\"\nlabel = \"Cancer\"\n\
             [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\nunit = \"years\"\n\
             [dictionary.date]\ntype = \"date\"\nlabel = \"Diagnosis\"\n",
        );
        let hazard = expected / (n as f64 * 365.0);
        let table = tributary::stats::life_table::LifeTable {
            starts: vec![0],
            end: 40_000,
            ages: vec![0.0],
            hazard: vec![hazard; 3],
            is_yearly: false,
        };
        frame.tables = SiteTables {
            life_table: None,
            rates: Some(std::sync::Arc::new(table)),
            ..SiteTables::default()
        };
        let model = "kind = \"standardised_ratio\"\nbands_years = [5]\nbackground = { age = \"age\", date = \"date\" }\n\
                     followup = { time = \"time\", event = \"event\" }\n";
        let m = fit(&frame, model, &frame.deal(2));
        close(number(&m, "ratios", &[], "ratio"), ratio, 1e-9, "ratio");
        close(number(&m, "ratios", &[], "ratio_low"), low, 1e-6, "low");
        close(number(&m, "ratios", &[], "ratio_high"), high, 1e-6, "high");
    }
}

#[test]
fn one_lexis_table_gives_period_and_complete_survival() {
    let frame = sire();
    let wanted = reference("net_survival_reference.csv");
    let model = "kind = \"survival_lexis\"\ndate = \"date\"\nyears = [1993, 2013]\nfollowup_years = 5\ntimes_years = [1, 3, 5]\n\
                 background = { sex = \"sex\", age = \"age\", date = \"date\" }\n\
                 followup = { time = \"time\", event = \"status\", event_is = [\"1\", \"2\"] }\n\
                 approaches = [\n\
                   { name = \"complete\", diagnosed = [1993, 2013] },\n\
                   { name = \"period\", diagnosed = [1993, 2013], followed = [2008, 2012] },\n\
                   { name = \"same\", diagnosed = [1993, 2013], followed = [2008, 2012], early_years = 1, early_followed = [2008, 2012] },\n\
                   { name = \"early\", diagnosed = [1993, 2013], followed = [2006, 2010] },\n\
                   { name = \"hybrid\", diagnosed = [1993, 2013], followed = [2008, 2012], early_years = 1, early_followed = [2006, 2010] },\n\
                 ]\n";
    let m = fit(&frame, model, &frame.deal(5));
    for year in ["1", "3", "5"] {
        for (approach, block) in [("complete", "sire_e2"), ("period", "sire_e2_period")] {
            let keys = [("approach", approach), ("survival", "relative"), ("time_years", year)];
            for (stat, column) in [("", "estimate"), (".lo", "conf_low"), (".hi", "conf_high")] {
                let found = number(&m, "times", &keys, column);
                close(
                    found,
                    wanted[&format!("{block}/{year}/r{stat}")],
                    2e-3,
                    &format!("{approach} {year} {stat}"),
                );
            }
        }
    }
    // The first year from one window, the others from another, each a product of conditional survivals.
    for survival in ["observed", "relative"] {
        let at = |approach: &str, year: &str| {
            let keys = [("approach", approach), ("survival", survival), ("time_years", year)];
            number(&m, "times", &keys, "estimate")
        };
        close(at("same", "5"), at("period", "5"), tol::CLOSED, "equal windows");
        close(at("hybrid", "1"), at("early", "1"), tol::CLOSED, "first year");
        let wanted = at("early", "1") * at("period", "5") / at("period", "1");
        close(at("hybrid", "5"), wanted, tol::CLOSED, "hybrid");
    }
}
