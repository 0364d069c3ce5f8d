//! What breaks others: no events, one patient, ties, separation, collinearity, short follow-up, huge scales.

use tributary::estimate::{Estimate, Status, Value};

use crate::{
    pooling::{Frame, close, number},
    survival_oracles::lung,
};

const DICTIONARY: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1000]\n\
    [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
    [dictionary.x]\ntype = \"real\"\nlabel = \"x\"\n\
    [dictionary.y]\ntype = \"real\"\nlabel = \"y\"\n";

const MODELS: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
    [[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\ntimes_years = [0.1, 1, 2]\nrestricted_mean_years = 1\n\
    [[model]]\nid = \"cox\"\nkind = \"cox\"\ncovariates = [\"x\"]\n\
    [[model]]\nid = \"common\"\nkind = \"cox\"\ncovariates = [\"x\"]\nbaseline = \"common\"\n\
    [[model]]\nid = \"sites\"\nkind = \"meta_analysis\"\nof = \"cox\"\nterm = \"x\"\n";

fn frame(time: &[f64], event: &[f64], x: &[f64]) -> Frame {
    let y: Vec<f64> = x.iter().map(|x| 2.0 * x - 1.0).collect();
    Frame::of(
        &[("time", time.to_vec()), ("event", event.to_vec()), ("x", x.to_vec()), ("y", y)],
        DICTIONARY,
    )
}

/// Every number of every table is finite by type; here the statuses are, too, what they should be.
fn statuses(estimate: &Estimate, table: &str) -> Vec<String> {
    let table = estimate.table(table).unwrap();
    (0..table.rows.len()).map(|row| table.text(row, "status").to_owned()).collect()
}

#[test]
fn without_events_there_is_a_status_and_no_number() {
    let found = frame(&[10., 20., 30., 40.], &[0.; 4], &[0., 1., 0., 1.])
        .pool(MODELS, &[vec![0, 1], vec![2, 3]]);
    assert_eq!(found["km"].status, Status::NoEvents);
    assert_eq!(found["cox"].status, Status::NoEvents);
    assert_eq!(found["common"].status, Status::NoEvents);
    assert_eq!(statuses(&found["cox"], "terms"), ["NO_EVENTS"]);
    assert_eq!(found["sites"].status, Status::NotIdentified);
    // All alive: S = 1 with a lower limit from the beta product, none from Greenwood.
    let row = [("time_years", "0.1")];
    assert_eq!(number(&found["km"], "times", &row, "estimate"), 1.0);
    // Nobody dead among the two still followed after 36.5 days … at risk is 1 of them after the last censoring.
    assert!(number(&found["km"], "times", &row, "conf_low") < 1.0);
    assert_eq!(
        statuses(&found["km"], "times"),
        ["ONE_SIDED", "BEYOND_FOLLOWUP", "BEYOND_FOLLOWUP"]
    );
}

/// Nobody dead among n: the lower limit is 0.025^(1/n).
#[test]
fn all_alive_has_the_clopper_pearson_limit() {
    for n in [5_usize, 10, 20] {
        let found =
            frame(&vec![800.0; n], &vec![0.0; n], &vec![0.0; n]).pool(MODELS, &[(0..n).collect()]);
        let low = number(&found["km"], "times", &[("time_years", "1")], "conf_low");
        close(low, 0.025_f64.powf(1.0 / n as f64), 1e-9, "lower limit");
    }
}

#[test]
fn one_patient_who_dies_is_a_curve_at_zero_without_nan() {
    let found = frame(&[30.], &[1.], &[1.]).pool(MODELS, &[vec![0]]);
    assert_eq!(number(&found["km"], "curve", &[("time", "30")], "estimate"), 0.0);
    assert_eq!(statuses(&found["km"], "curve"), ["BOUNDARY"]);
    let high = number(&found["km"], "curve", &[("time", "30")], "conf_high");
    assert!(high > 0.9 && high <= 1.0, "{high}");
    assert_eq!(found["cox"].status, Status::NotIdentified, "one parameter for one event");
}

#[test]
fn a_death_on_the_day_of_diagnosis_counts_unless_it_is_left_out() {
    let data = frame(&[0., 10., 20., 30.], &[1., 1., 0., 1.], &[0., 1., 0., 1.]);
    for (rule, persons, time) in
        [("half_day", 4.0, 0.5), ("exclude", 3.0, 10.0), ("as_is", 4.0, 0.0)]
    {
        let models = MODELS
            .replace("event = \"event\"\n", &format!("event = \"event\"\nzero = \"{rule}\"\n"));
        let found = &data.pool(&models, &[vec![0, 1, 2, 3]])["km"];
        assert_eq!(number(found, "groups", &[], "n"), persons, "{rule}");
        assert_eq!(found.table("curve").unwrap().number(0, "time"), Some(time), "{rule}");
    }
}

/// Eight patients, deaths in one arm only: R returns 21.6 with a standard error of 23888 and a warning.
#[test]
fn separation_is_called_monotone_and_keeps_its_valid_tests() {
    let time: Vec<f64> = (1..=8).map(f64::from).collect();
    let event: Vec<f64> = (1..=8).map(|i| if i <= 3 { 1.0 } else { 0.0 }).collect();
    let x: Vec<f64> = (1..=8).map(|i| if i <= 4 { 1.0 } else { 0.0 }).collect();
    let found = frame(&time, &event, &x).pool(MODELS, &[(0..8).collect()]);
    for id in ["cox", "common"] {
        assert_eq!(found[id].status, Status::Monotone, "{id}");
        assert_eq!(statuses(&found[id], "terms"), ["MONOTONE"]);
        assert_eq!(found[id].table("terms").unwrap().cell(0, "estimate"), &Value::None);
        assert!(number(&found[id], "tests", &[("test", "likelihood ratio")], "p_value") < 0.1);
        assert_eq!(statuses(&found[id], "tests"), ["OK", "MONOTONE", "OK"]);
    }
    assert_eq!(statuses(&found["sites"], "studies"), ["MONOTONE"]);
    assert_eq!(found["sites"].status, Status::NotIdentified);
}

#[test]
fn a_collinear_column_is_dropped_centrally_and_the_rest_stays() {
    let lung = lung();
    let plain = "[followup]\ntime = \"time\"\nevent = \"event\"\n[[model]]\nid = \"cox\"\nkind = \"cox\"\ncovariates = [\"age\", \"ecog\"]\n";
    let wanted =
        number(&lung.pool(plain, &lung.deal(5))["cox"], "terms", &[("term", "age")], "estimate");
    // y is a constant, then a copy of age.
    for copy in [false, true] {
        let read = |name: &str| {
            lung.text(name).iter().map(|c| c.parse::<f64>().unwrap()).collect::<Vec<_>>()
        };
        let y = if copy {
            read("age").iter().map(|a| 365.25 * a).collect()
        } else {
            vec![3.0; lung.rows]
        };
        let dictionary = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1100]\n[dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
            [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\n[dictionary.ecog]\ntype = \"real\"\nlabel = \"ECOG\"\n[dictionary.y]\ntype = \"real\"\nlabel = \"y\"\n";
        let columns = [
            ("time", read("time")),
            ("event", read("event")),
            ("age", read("age")),
            ("ecog", read("ecog")),
            ("y", y),
        ];
        let frame = Frame::of(&columns, dictionary);
        let model = plain.replace("\"ecog\"]", "\"y\", \"ecog\"]");
        let found = &frame.pool(&model, &frame.deal(5))["cox"];
        assert_eq!(statuses(found, "terms"), ["OK", "NOT_IDENTIFIED", "OK"], "copy: {copy}");
        assert_eq!(found.status, Status::NotIdentified);
        close(number(found, "terms", &[("term", "age")], "estimate"), wanted, 1e-9, "age");
    }
}

/// Days, months or years of age, and scales from 1e-6 to 1e6: the same z, and converged.
#[test]
fn units_do_not_matter() {
    let lung = lung();
    let read =
        |name: &str| lung.text(name).iter().map(|c| c.parse::<f64>().unwrap()).collect::<Vec<_>>();
    let mut wanted = None;
    for scale in [1.0, 12.0, 365.25, 1e-6, 1e6] {
        for shift in [0.0, 1e3] {
            let x: Vec<f64> = read("age").iter().map(|a| scale * (a + shift)).collect();
            let data = frame(&read("time"), &read("event"), &x);
            let found = data.pool(MODELS, &data.deal(5));
            for id in ["cox", "common"] {
                assert_eq!(found[id].status, Status::Ok, "{id} at scale {scale}");
            }
            let z = ["cox", "common"].map(|id| number(&found[id], "terms", &[], "statistic"));
            let ph = ["cox", "common"].map(|id| {
                number(&found[id], "proportional_hazards", &[("variable", "x")], "statistic")
            });
            let all = [z, ph].concat();
            let first = wanted.get_or_insert_with(|| all.clone());
            for (found, wanted) in all.iter().zip(first) {
                close(*found, *wanted, 1e-7, &format!("scale {scale}, shift {shift}"));
            }
        }
    }
}

/// Time in days times a constant (months or years rounded to days before) changes no coefficient.
#[test]
fn the_unit_of_time_does_not_matter_to_cox() {
    let lung = lung();
    let read =
        |name: &str| lung.text(name).iter().map(|c| c.parse::<f64>().unwrap()).collect::<Vec<_>>();
    let once = frame(&read("time"), &read("event"), &read("age"))
        .pool(&MODELS.replace("times_years = [0.1, 1, 2]\n", ""), &lung.deal(2));
    let slow: Vec<f64> = read("time").iter().map(|t| 7.0 * t).collect();
    let dictionary = DICTIONARY.replace("[0, 1000]", "[0, 9000]");
    let columns =
        [("time", slow), ("event", read("event")), ("x", read("age")), ("y", read("age"))];
    let weeks = Frame::of(&columns, &dictionary).pool(MODELS, &lung.deal(2));
    for id in ["cox", "common"] {
        let coefficient = |e: &Estimate| number(e, "terms", &[], "estimate");
        close(coefficient(&weeks[id]), coefficient(&once[id]), 1e-10, id);
    }
}

/// A site whose follow-up ends before the last pooled event still counts, as its rows do in R.
#[test]
fn short_follow_up_at_one_site_is_no_reason_to_fail() {
    let lung = lung();
    let by_time = |limit: f64, above: bool| {
        (0..lung.rows)
            .filter(|&r| (lung.text("time")[r].parse::<f64>().unwrap() > limit) == above)
            .collect::<Vec<_>>()
    };
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\n[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\ntimes_years = [1, 2]\n\
        [[model]]\nid = \"common\"\nkind = \"cox\"\ncovariates = [\"age\", \"sex\"]\nbaseline = \"common\"\n";
    let split = lung.pool(models, &[by_time(100.0, false), by_time(100.0, true)]);
    let whole = lung.pool(models, &lung.deal(1));
    for (id, table, column) in [("km", "times", "estimate"), ("common", "terms", "estimate")] {
        let numbers = |e: &Estimate| {
            let t = e.table(table).unwrap();
            (0..t.rows.len()).map(|r| t.number(r, column).unwrap()).collect::<Vec<_>>()
        };
        for (a, b) in numbers(&split[id]).iter().zip(numbers(&whole[id])) {
            close(*a, b, 1e-9, id);
        }
    }
}

#[test]
fn too_many_parameters_for_the_events_are_not_fitted() {
    let time = [5., 10., 15., 20., 25.];
    let found = frame(&time, &[1., 0., 1., 0., 0.], &[1., 2., 3., 1., 2.])
        .pool(MODELS, &[(0..5).collect()]);
    assert_eq!(found["cox"].status, Status::NotIdentified);
    assert_eq!(found["cox"].notices[0].key, "too-few-events");
}

#[test]
fn missing_values_are_left_out_and_counted() {
    let found = frame(
        &[5., 10., 15., f64::NAN, 25., 30.],
        &[1., 1., 1., 1., 0., f64::NAN],
        &[1., 2., f64::NAN, 1., 2., 3.],
    )
    .pool(MODELS, &[(0..3).collect(), (3..6).collect()]);
    assert_eq!(number(&found["km"], "groups", &[], "n"), 4.0);
    assert_eq!(found["km"].notices[0].values["n"], "2");
    assert_eq!(found["cox"].table("summary").unwrap().number(0, "n"), Some(3.0));
}

/// Coarse cells: the actuarial estimate, by hand. 10 at risk, in the first year 1 death and 2 censored.
#[test]
fn a_coarse_grid_gives_the_actuarial_estimate_and_says_grouped() {
    let time = [100., 200., 300., 400., 500., 600., 800., 800., 800., 800.];
    let event = [1., 0., 0., 1., 0., 0., 0., 0., 0., 0.];
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\n[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\ngrid_days = 365.25\nhorizon_days = 731\n";
    let data = frame(&time, &event, &[0.0; 10]);
    let found = &data.pool(models, &data.deal(2))["km"];
    assert_eq!(serde_json::to_value(found.exactness).unwrap(), "GROUPED");
    let s = |time: &str| number(found, "curve", &[("time", time)], "estimate");
    close(s("365.25"), 1.0 - 1.0 / 9.0, 1e-14, "year 1");
    let off = models.replace("horizon_days = 731", "horizon_days = 731\ntimes_years = [1, 1.5]");
    let text = format!("id = \"test\"\ntitle = \"-\"\nquestion = \"?\"\nstudy = \"test\"\n{off}");
    let fault = tributary::plan::Plan::check("a.toml", &text, data.study).unwrap_err().to_string();
    assert!(fault.contains("1.5 years is not the end of a cell of 365.25 days"), "{fault}");
    close(s("730.5"), (1.0 - 1.0 / 9.0) * (1.0 - 1.0 / 6.0), 1e-14, "year 2");
}

/// Left truncation: everybody dies before others enter.
#[test]
fn a_risk_set_that_empties_before_later_entries_is_told() {
    let dictionary =
        format!("{DICTIONARY}[dictionary.entry]\ntype = \"days\"\nlabel = \"Entry\"\n");
    let columns = [
        ("time", vec![10.0, 90.0, 95.0, 99.0]),
        ("event", vec![1.0, 1.0, 0.0, 0.0]),
        ("x", vec![0.0; 4]),
        ("y", vec![0.0; 4]),
        ("entry", vec![0.0, 50.0, 50.0, 50.0]),
    ];
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\nentry = \"entry\"\n[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\n";
    let frame = Frame::of(&columns, &dictionary);
    let found = &frame.pool(models, &frame.deal(2))["km"];
    assert_eq!(found.status, Status::NoRiskSet);
    assert_eq!(found.notices[0].key, "risk-set-emptied");
    assert_eq!(statuses(found, "curve"), ["BOUNDARY", "NO_RISK_SET", "NO_RISK_SET", "NO_RISK_SET"]);
}

/// A level of the dictionary that no record has: an empty curve, an empty column, nothing to compare, and no number.
#[test]
fn a_group_with_nobody_has_a_status_and_no_number() {
    let dictionary = format!(
        "{DICTIONARY}[dictionary.arm]\ntype = \"category\"\nlabel = \"Arm\"\nlevels = [\"1\", \"2\"]\n"
    );
    let columns = [
        ("time", vec![10.0, 20.0, 30.0, 40.0]),
        ("event", vec![1.0, 1.0, 1.0, 0.0]),
        ("x", vec![0.0; 4]),
        ("y", vec![0.0; 4]),
        ("arm", vec![1.0; 4]),
    ];
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
        [[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\nby = \"arm\"\ntimes_years = [0.05]\nrestricted_mean_years = 0.05\n\
        [[model]]\nid = \"test\"\nkind = \"log_rank\"\nby = \"arm\"\n\
        [[model]]\nid = \"cox\"\nkind = \"cox\"\ncovariates = [\"arm\"]\n";
    let frame = Frame::of(&columns, &dictionary);
    let found = frame.pool(models, &frame.deal(2));
    assert_eq!(statuses(&found["km"], "groups"), ["OK", "NO_RISK_SET"]);
    assert_eq!(statuses(&found["km"], "times"), ["OK", "BEYOND_FOLLOWUP"]);
    assert_eq!(statuses(&found["test"], "test"), ["NO_RISK_SET"]);
    assert_eq!(found["test"].table("test").unwrap().cell(0, "p_value"), &Value::None);
    assert_eq!(statuses(&found["cox"], "terms"), ["NOT_IDENTIFIED"]);
    assert_eq!(found["cox"].table("terms").unwrap().cell(0, "estimate"), &Value::None);
}

/// The same for the other regressions: a covariate in other units has the same z.
#[test]
fn further_regressions_converge_on_any_scale() {
    let lung = lung();
    let read = |column: &str| -> Vec<f64> {
        lung.text(column).iter().map(|c| c.parse().unwrap()).collect()
    };
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
        [[model]]\nid = \"weibull\"\nkind = \"parametric\"\ndistribution = \"weibull\"\ncovariates = [\"x\"]\n\
        [[model]]\nid = \"gengamma\"\nkind = \"parametric\"\ndistribution = \"generalized-gamma\"\ncovariates = [\"x\"]\n\
        [[model]]\nid = \"spline\"\nkind = \"royston_parmar\"\nknots = 1\ncovariates = [\"x\"]\n\
        [[model]]\nid = \"firth\"\nkind = \"penalised_cox\"\ncovariates = [\"x\"]\n\
        [[model]]\nid = \"subhazard\"\nkind = \"fine_gray\"\ncause = \"1\"\ncompeting = []\ncovariates = [\"x\"]\n";
    let mut wanted: Vec<f64> = Vec::new();
    for (scale, shift) in [(1.0, 0.0), (365.25, 0.0), (1e-6, 0.0), (1e6, 0.0), (1.0, 1950.0)] {
        let x: Vec<f64> = read("age").iter().map(|a| scale * (a + shift)).collect();
        let found = frame(&read("time"), &read("event"), &x).pool(models, &lung.split_by("site"));
        let fitted = found.iter().filter(|(_, estimate)| estimate.table("terms").is_some());
        for (at, (id, estimate)) in fitted.enumerate() {
            assert_eq!(estimate.status, Status::Ok, "{id} at scale {scale}, shift {shift}");
            let z = number(estimate, "terms", &[("term", "x")], "statistic");
            if wanted.len() <= at {
                wanted.push(z);
            }
            close(z, wanted[at], 1e-5, &format!("{id} at scale {scale}, shift {shift}"));
        }
        assert_eq!(wanted.len(), 5);
    }
}
