//! The hazard ratio from likelihood curves against R's stratified Cox model (tests/reference/profile.R), and what it does where
//! most sites have no estimate of their own.

use tributary::estimate::Estimate;

use crate::{
    pooling::{Frame, close, number, reference, tol},
    survival_oracles::lung,
};

const FOLLOWUP: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\nzero = \"as_is\"\n";

fn fit(frame: &Frame, options: &str, parts: &[Vec<usize>]) -> Estimate {
    let model =
        format!("{FOLLOWUP}[[model]]\nid = \"p\"\nkind = \"profile_likelihood\"\n{options}");
    frame.pool(&model, parts).remove("p").unwrap()
}

#[test]
fn curves_of_five_sites_add_up_to_the_stratified_cox_model() {
    let frame = lung();
    let wanted = reference("profile_reference.csv");
    let p = fit(&frame, "effect = \"sex\"\n", &frame.split_by("site"));
    for (stat, column) in
        [("coef", "estimate"), ("se", "std_error"), ("low", "conf_low"), ("high", "conf_high")]
    {
        let found = number(&p, "terms", &[], column);
        close(found, wanted[&format!("sex/female/{stat}")], 1e-6, stat);
    }
    let z = number(&p, "terms", &[], "statistic");
    close(z * z, wanted["sex/female/lr"], 1e-6, "likelihood ratio");
    let adjusted =
        fit(&frame, "effect = \"sex\"\nnuisance = [\"age\", \"ecog\"]\n", &frame.split_by("site"));
    for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
        let found = number(&adjusted, "terms", &[], column);
        close(found, wanted[&format!("adjusted/female/{stat}")], 1e-5, stat);
    }
}

#[test]
fn averaged_curves_are_the_integrated_likelihoods() {
    let frame = lung();
    let p = fit(&frame, "effect = \"sex\"\n", &frame.split_by("site"));
    for (key, wanted) in reference("profile_reference.csv") {
        let Some(rest) = key.strip_prefix("marginal/") else { continue };
        let (mu, tau) = rest.split_once('/').unwrap();
        let found = number(&p, "curve", &[("effect", mu), ("tau", tau)], "log_likelihood");
        close(found, wanted, tol::LIKELIHOOD.max(1e-6), &key);
    }
    // The five parts of one trial do not differ.
    assert_eq!(p.table("heterogeneity").unwrap().text(1, "status"), "BOUNDARY");
    close(
        number(&p, "heterogeneity", &[("quantity", "mean")], "estimate"),
        number(&p, "terms", &[], "estimate"),
        1e-6,
        "with τ = 0 the mean is the common effect",
    );
}

/// Sites whose effects differ: mean and standard deviation by maximum likelihood. Between the points of the grid of τ the
/// likelihood is a parabola in τ², which costs a few thousandths.
#[test]
fn heterogeneity_is_the_maximum_of_the_integrated_likelihood() {
    let frame = Frame::read(
        "hetero.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1500]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
         [dictionary.arm]\ntype = \"flag\"\nlabel = \"Arm\"\n",
    );
    let p = fit(&frame, "effect = \"arm\"\n", &frame.split_by("site"));
    for (key, wanted) in reference("profile_reference.csv") {
        let Some(rest) = key.strip_prefix("hetero/") else { continue };
        let (quantity, column) = rest.split_once('/').unwrap();
        let found = number(&p, "heterogeneity", &[("quantity", quantity)], column);
        assert!((found - wanted).abs() < 0.01, "{key}: {found}, expected {wanted}");
    }
}

/// Ten sites of which none has a finite estimate of its own: one arm only, or all deaths in one arm.
#[test]
fn sites_without_estimates_of_their_own_still_add_up() {
    let mut time = Vec::new();
    let mut event = Vec::new();
    let mut arm = Vec::new();
    for site in 0..10 {
        for i in 0..6 {
            time.push(f64::from(100 + 37 * i + 11 * site));
            let treated = i % 2 == 0;
            arm.push(f64::from(u8::from(treated)));
            let dies = i < 3 && treated == (site % 3 != 0);
            event.push(f64::from(u8::from(dies)));
        }
    }
    let frame = Frame::of(
        &[("time", time), ("event", event), ("arm", arm)],
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 2000]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
         [dictionary.arm]\ntype = \"flag\"\nlabel = \"Arm\"\n",
    );
    let parts: Vec<Vec<usize>> = (0..10).map(|s| (s * 6..s * 6 + 6).collect()).collect();
    let p = fit(&frame, "effect = \"arm\"\n", &parts);
    assert_eq!(number(&p, "summary", &[], "sites_informative") as u32, 10);
    let whole = frame.pool(
        &format!("{FOLLOWUP}[[model]]\nid = \"c\"\nkind = \"cox\"\ncovariates = [\"arm\"]\nproportional_hazards = \"none\"\n"),
        &parts,
    );
    for column in ["estimate", "std_error"] {
        close(
            number(&p, "terms", &[], column),
            number(&whole["c"], "terms", &[], column),
            1e-6,
            column,
        );
    }
    // All deaths in one arm everywhere: a lower limit, no upper one, no number that is not finite.
    let monotone = fit(&frame, "effect = \"arm\"\n", &[parts[1].clone(), parts[2].clone()]);
    let terms = monotone.table("terms").unwrap();
    assert_eq!(terms.text(0, "status"), "MONOTONE");
    assert!(terms.number(0, "conf_low").is_some() && terms.number(0, "conf_high").is_none());
}
