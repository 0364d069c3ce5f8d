//! Prevalence by the counting method against R.

use tributary::cohort::SiteTables;

use crate::{
    incidence_data::{ALIVE, TOLERANCE, patients, row},
    pooling::{close, reference},
};

/// The counting method written out with `survfit`. Each of several sites has its own population.
#[test]
fn prevalence_equals_the_counting_method_in_r() {
    let wanted = reference("prevalence_reference.csv");
    let frame = patients();
    for sites in [1, 2, 5] {
        let estimate = frame.pool(ALIVE, &frame.deal(sites)).remove("m").unwrap();
        let table = estimate.table("prevalence").unwrap();
        let standardised = estimate.table("standardised_prevalence").unwrap();
        let share = sites as f64;
        for site in ["colon", "rectum"] {
            for sex in ["all", "1", "2"] {
                for years in ["2", "5"] {
                    let keys = [("group", site), ("sex", sex), ("duration", years)];
                    for (i, age) in ["all", "0–49", "50–64", "65–79", "80+"].iter().enumerate()
                    {
                        let r = row(table, &[&keys[..], &[("age", *age)]].concat());
                        let of =
                            |stat: &str| wanted.get(&format!("{site} {sex} {years}/{i}/{stat}"));
                        let what = format!("{site} {sex} {years} {age}");
                        assert_eq!(table.text(r, "status"), "OK", "{what}");
                        let number = |column| table.number(r, column).unwrap();
                        close(number("lost"), *of("lost").unwrap(), 1e-12, &what);
                        close(number("prevalent"), *of("prevalent").unwrap(), TOLERANCE, &what);
                        close(number("prevalent_low"), *of("low").unwrap(), TOLERANCE, &what);
                        close(
                            share * number("rate_high"),
                            *of("rate_high").unwrap(),
                            TOLERANCE,
                            &what,
                        );
                    }
                    let r = row(standardised, &keys);
                    let of = |stat: &str| wanted[&format!("{site} {sex} {years}/0/{stat}")];
                    let number = |column| share * standardised.number(r, column).unwrap();
                    close(number("rate"), of("standardised"), TOLERANCE, "standardised");
                    close(number("conf_high"), of("standardised_high"), TOLERANCE, "standardised");
                }
            }
        }
    }
}

/// Nobody lost: limits are Garwood's. Hidden ages are hidden with their shares, and longer durations that hold them too.
#[test]
fn prevalence_of_few_is_hidden_and_without_losses_exact() {
    let mut frame = patients();
    let complete = ALIVE.replace("followed", "time").replace("died", "dead");
    let mut under = |floor: u64| {
        frame.study.policy.min_cell = floor;
        frame.pool(&complete, &frame.deal(2))
    };
    let (open, hidden) = (under(0), under(60));
    let table = open["m"].table("prevalence").unwrap();
    let mut complete = 0;
    for r in 0..table.rows.len() {
        let number = |column| table.number(r, column).unwrap();
        if number("lost") > 0.0 {
            continue;
        }
        complete += 1;
        let wanted = tributary::stats::distribution::garwood(number("prevalent"), 0.95);
        close(number("prevalent_low"), wanted[0], 1e-10, "low");
        close(number("prevalent_high"), wanted[1], 1e-10, "high");
    }
    assert!(complete > 10);
    let found = hidden["m"].table("prevalence").unwrap();
    let mut bullets = 0;
    for r in 0..found.rows.len() {
        let n = table.number(r, "alive").unwrap() + table.number(r, "lost").unwrap();
        if found.text(r, "status") == "SUPPRESSED" {
            bullets += 1;
            assert!(found.number(r, "prevalent").is_none() && found.number(r, "rate").is_none());
        } else {
            assert!(n == 0.0 || n >= 60.0, "{:?} {:?}", found.rows[r], table.rows[r]);
            // A few who were lost are no more told than a few who are there.
            let lost = table.number(r, "lost").unwrap();
            let few = lost > 0.0 && lost < 60.0;
            assert!(
                !few || (found.number(r, "lost").is_none() && found.number(r, "alive").is_none())
            );
        }
    }
    assert!(bullets > 0);
}

/// A site without a population has no share to add to; people lost who would outlive all follow-up are told.
#[test]
fn prevalence_tells_whom_it_leaves_out_and_whom_it_extrapolates() {
    let mut frame = patients();
    let parts = frame.deal(2);
    let alone = frame.pool(ALIVE, &parts[..1]).remove("m").unwrap();
    let plan = crate::pooling::plan(&frame.study, ALIVE);
    let site = |i: usize| tributary::summary::SiteId::new(&format!("S{i}")).unwrap();
    let first = (site(0), frame.site(&parts[0]));
    frame.tables = SiteTables::default();
    let second = (site(1), frame.site(&parts[1]));
    let open = tributary::summary::Policy::open();
    let run = crate::pooling::run(&plan, &[first, second], &open).0;
    let found = &crate::pooling::estimates(&run)["m"];
    let key = |key: &str| found.notices.iter().any(|n| n.key == key);
    assert!(key("people-without-population") && !key("people-beyond-followup"));
    // Only the survival of those lost is that of both sites.
    let (a, b) = (alone.table("prevalence").unwrap(), found.table("prevalence").unwrap());
    for r in 0..a.rows.len() {
        for column in ["alive", "lost", "population"] {
            assert_eq!(a.number(r, column), b.number(r, column), "{column}");
        }
    }
    // Everybody lost on the first day: nobody tells how the others went on.
    let mut frame = patients();
    frame.add("gone", |_| "1".into(), "days");
    frame.add("dies", |_| "0".into(), "flag");
    let gone = ALIVE.replace("followed", "gone").replace("died", "dies");
    let found = frame.pool(&gone, &frame.deal(2)).remove("m").unwrap();
    assert!(found.notices.iter().any(|n| n.key == "people-beyond-followup"));
    assert_eq!(found.status.word(), "EXTRAPOLATED");
}
