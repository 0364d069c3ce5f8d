//! Multi-state survival, mean cumulative count, standardised ratios and the survival Lexis table against R
//! (tests/reference/states.R, net_survival.R), split over sites.

use tributary::{cohort::SiteTables, estimate::Estimate};

use crate::{
    net_survival::{life_table, rdata, sire},
    pooling::{Frame, close, number, reference, tol},
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
        };
        frame.tables = SiteTables { life_table: None, rates: Some(std::sync::Arc::new(table)) };
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
    let hybrid = number(
        &m,
        "times",
        &[("approach", "hybrid"), ("survival", "relative"), ("time_years", "5")],
        "estimate",
    );
    assert!(hybrid > 0.55 && hybrid < 0.75);
}
