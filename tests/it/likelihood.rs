//! What fitted likelihoods give beyond their coefficients, against R (tests/reference/likelihood.R): late entry, hazard ratios
//! and predictions with their standard errors, varying effects, cured shares, a smooth excess hazard.

use tributary::estimate::Estimate;

use crate::{
    net_survival::rdata,
    pooling::{Frame, close, number, reference},
};

/// R's derivatives are numerical ones.
const NUMERICAL: f64 = 1e-5;

/// Relapse-free survival of older patients counted from a quarter of their time on.
fn late() -> Frame {
    let mut frame = Frame::read(
        "gbsg.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 2700]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Relapse or death\"\n\
         [dictionary.hormon]\ntype = \"flag\"\nlabel = \"Tamoxifen\"\n",
    );
    let entry = |row: &dyn Fn(&str) -> String| {
        let number = |name: &str| row(name).parse::<u32>().unwrap();
        (if number("age") >= 55 { number("time") / 4 } else { 0 }).to_string()
    };
    frame.add("entry", entry, "days");
    frame
}

fn fit(options: &str, sites: usize) -> Estimate {
    let frame = late();
    let model = format!(
        "[followup]\ntime = \"time\"\nentry = \"entry\"\nevent = \"event\"\n[[model]]\nid = \"m\"\n\
         covariates = [\"hormon\"]\ntimes_years = [1, 5]\n\
         patients = [{{ name = \"treated\", values = {{ hormon = 1 }} }}]\n{options}"
    );
    frame.pool(&model, &frame.deal(sites)).remove("m").unwrap()
}

fn check_terms(estimate: &Estimate, block: &str) {
    let wanted = reference("likelihood_reference.csv");
    let terms = estimate.table("terms").unwrap();
    assert!(!wanted.contains_key(&format!("{block}/{}/coef", terms.rows.len() + 1)), "{block}");
    for row in 0..terms.rows.len() {
        for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
            let key = format!("{block}/{}/{stat}", row + 1);
            close(terms.number(row, column).unwrap(), wanted[&key], NUMERICAL, &key);
        }
    }
    let key = format!("{block}/model/loglik");
    close(number(estimate, "summary", &[], "log_likelihood"), wanted[&key], 1e-9, &key);
}

/// One row of a table: an estimate and its standard error.
fn check_row(estimate: &Estimate, table: &str, keys: &[(&str, &str)], wanted_row: &str) {
    let wanted = reference("likelihood_reference.csv");
    for column in ["estimate", "std_error"] {
        let key = format!("{wanted_row}/{column}");
        close(number(estimate, table, keys, column), wanted[&key], NUMERICAL, &key);
    }
}

#[test]
fn late_entry_divides_by_the_survival_at_entry_in_every_family() {
    for sites in [1, 5] {
        let weibull = fit("kind = \"parametric\"\ndistribution = \"weibull\"\n", sites);
        check_terms(&weibull, "weibull");
        check_row(&weibull, "hazard_ratios", &[("term", "hormon=1")], "weibull/hazard_ratio");
        let spline = fit(
            "kind = \"royston_parmar\"\nknots = 1\ntime_varying = [\"hormon\"]\ntime_varying_knots = 1\n",
            sites,
        );
        check_terms(&spline, "royston_parmar");
        let cure = fit("kind = \"cure\"\nwithout_gate = true\n", sites);
        check_terms(&cure, "mixture");
        let share = [("quantity", "cure fraction")];
        check_row(&cure, "cured", &share, "mixture/share");
        check_row(&cure, "cured", &[("quantity", "median, years")], "mixture/median");
        for years in ["1", "5"] {
            let at = [("time_years", years)];
            check_row(&weibull, "predicted", &at, &format!("weibull/{years}"));
            check_row(&spline, "predicted", &at, &format!("royston_parmar/{years}"));
            check_row(&spline, "time_varying", &at, &format!("time_varying/{years}"));
            check_row(&cure, "predicted", &at, &format!("mixture/{years}"));
        }
        let frame = late();
        let model = "[followup]\ntime = \"time\"\nevent = \"event\"\n[[model]]\nid = \"m\"\nkind = \"cure\"\nform = \"non-mixture\"\n\
                     without_gate = true\ncovariates = [\"hormon\"]\npatients = [{ name = \"treated\", values = { hormon = 1 } }]\n";
        let cure = frame.pool(model, &frame.deal(sites)).remove("m").unwrap();
        check_terms(&cure, "nonmixture");
        check_row(&cure, "cured", &share, "nonmixture/share");
    }
}

#[test]
fn smooth_and_varying_excess_hazards_equal_their_likelihoods() {
    let frame = rdata();
    for (baseline, block) in [
        ("spline_years = [0.1, 1, 2.5, 5]\n", "excess_spline"),
        ("spline_years = [0.1, 1, 2.5, 5]\ntime_varying = [\"sex\"]\n", "excess_spline_varying"),
        ("bands_years = [1, 3, 5]\ntime_varying = [\"sex\"]\n", "excess_bands_varying"),
    ] {
        for sites in [1, 5] {
            let model = format!(
                "[pooling]\nyear = \"life-table\"\n[followup]\ntime = \"time\"\nevent = \"dead\"\n[[model]]\nid = \"m\"\nkind = \"excess_hazard\"\n\
                 background = {{ sex = \"sex\", age = \"age_days\", date = \"date\" }}\ncovariates = [\"sex\"]\n{baseline}"
            );
            let estimate = frame.pool(&model, &frame.deal(sites)).remove("m").unwrap();
            check_terms(&estimate, block);
        }
    }
}
