//! The further Cox models against R (tests/reference/cox.R): one round from patterns, Firth and ridge, weights, offset, robust
//! variance, effects that differ between bands of follow-up.

use std::collections::BTreeMap;

use tributary::{estimate::Estimate, models};

use crate::{
    pooling::{Frame, close, number, plan, reference, tol},
    survival_oracles::lung,
};

fn veteran() -> Frame {
    Frame::read(
        "veteran.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1000]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
         [dictionary.trt]\ntype = \"category\"\nlabel = \"Treatment\"\nlevels = [\"1\", \"2\"]\n\
         [dictionary.celltype]\ntype = \"category\"\nlabel = \"Cell type\"\nlevels = [\"squamous\", \"smallcell\", \"adeno\", \"large\"]\n",
    )
}

const FOLLOWUP: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\nzero = \"as_is\"\n";

fn oracle() -> BTreeMap<String, f64> {
    reference("cox_reference.csv")
}

fn fit(frame: &Frame, options: &str, parts: &[Vec<usize>]) -> Estimate {
    let model = format!("{FOLLOWUP}[[model]]\nid = \"m\"\n{options}");
    frame.pool(&model, parts).remove("m").unwrap()
}

fn check(estimate: &Estimate, block: &str, names: &[(&str, &str)], tolerance: f64) {
    for (r, ours) in names {
        for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
            let Some(wanted) = oracle().get(&format!("{block}/{r}/{stat}")).copied() else {
                continue;
            };
            let found = number(estimate, "terms", &[("term", ours)], column);
            close(found, wanted, tolerance, &format!("{block} {r} {stat}"));
        }
    }
}

#[test]
fn one_round_gives_every_tie_rule_whatever_the_split() {
    let frame = veteran();
    let names = [
        ("celltypesmallcell", "celltype=smallcell"),
        ("celltypeadeno", "celltype=adeno"),
        ("celltypelarge", "celltype=large"),
        ("trt2", "trt=2"),
    ];
    for ties in ["efron", "breslow", "exact"] {
        let options = format!(
            "kind = \"cox_patterns\"\ncovariates = [\"celltype\", \"trt\"]\nties = \"{ties}\"\n"
        );
        for sites in [1, 2, 5, 40] {
            let estimate = fit(&frame, &options, &frame.deal(sites));
            check(&estimate, &format!("veteran_{ties}"), &names, tol::LIKELIHOOD);
            let found = number(&estimate, "summary", &[], "log_likelihood");
            close(found, oracle()[&format!("veteran_{ties}/model/loglik")], tol::CLOSED, ties);
        }
    }
}

#[test]
fn predicted_and_standardised_survival_equal_survfit() {
    let frame = veteran();
    let years = [60.0 / 365.25, 180.0 / 365.25];
    let options = format!(
        "kind = \"cox_patterns\"\ncovariates = [\"celltype\", \"trt\"]\ntimes_years = [{}, {}]\nstandardise = \"trt\"\n\
         patients = [{{ name = \"p\", values = {{ celltype = \"smallcell\", trt = \"2\" }} }}]\n",
        years[0], years[1]
    );
    let estimate = fit(&frame, &options, &frame.deal(5));
    for (day, at) in [("60", years[0]), ("180", years[1])] {
        let at = at.to_string();
        for stat in ["estimate", "std_error", "conf_low", "conf_high"] {
            let found = number(&estimate, "predicted", &[("time_years", &at)], stat);
            close(
                found,
                oracle()[&format!("predicted/{day}/{stat}")],
                1e-6,
                &format!("{day} {stat}"),
            );
        }
        for level in ["1", "2"] {
            let found = number(
                &estimate,
                "standardised",
                &[("group", level), ("time_years", &at)],
                "estimate",
            );
            close(found, oracle()[&format!("standardised/{level}_{day}/estimate")], 1e-8, level);
        }
    }
}

/// Nobody differs in anything else: standardising over the patients changes nothing, also not the standard error.
#[test]
fn standardising_over_equal_patients_is_prediction() {
    let frame = veteran();
    let options = "kind = \"cox_patterns\"\ncovariates = [\"trt\"]\ntimes_years = [0.25, 0.5]\nstandardise = \"trt\"\n\
                   patients = [{ name = \"1\", values = { trt = \"1\" } }, { name = \"2\", values = { trt = \"2\" } }]\n";
    let estimate = fit(&frame, options, &frame.deal(5));
    for level in ["1", "2"] {
        for years in ["0.25", "0.5"] {
            for column in ["estimate", "std_error"] {
                let of = |table: &str, key: &str| {
                    number(&estimate, table, &[(key, level), ("time_years", years)], column)
                };
                close(of("standardised", "group"), of("predicted", "patient"), 1e-6, column);
            }
        }
    }
}

/// The iterative model with a common baseline gives the baseline of the one-round model.
#[test]
fn both_common_baselines_are_the_same() {
    let frame = veteran();
    let fit = |kind: &str, more: &str| {
        let options = format!("kind = \"{kind}\"\ncovariates = [\"celltype\", \"trt\"]\n{more}");
        fit(&frame, &options, &frame.deal(5))
    };
    let one = fit("cox_patterns", "");
    let several = fit("cox", "baseline = \"common\"\n");
    for time in ["8", "100", "384"] {
        let at = |estimate: &Estimate| number(estimate, "baseline", &[("time", time)], "survival");
        close(at(&several), at(&one), 1e-8, time);
    }
}

#[test]
fn firth_and_ridge_equal_their_penalised_likelihoods() {
    let frame = lung();
    let parts = frame.split_by("site");
    let names = [("sex2", "sex=2"), ("age", "age")];
    let options = "kind = \"penalised_cox\"\ncovariates = [\"sex\", \"age\"]\n";
    let estimate = fit(&frame, options, &parts);
    check(&estimate, "firth", &names, 1e-5);
    for (stat, column) in [("low", "conf_low"), ("high", "conf_high")] {
        let found = number(&estimate, "terms", &[("term", "sex=2")], column);
        close(found, oracle()[&format!("firth/sex2/{stat}")], 1e-5, stat);
    }
    assert!(
        estimate.fit.as_ref().unwrap().rounds <= 30,
        "{:?}",
        estimate.fit.as_ref().unwrap().rounds
    );
    let ridge = fit(&frame, &format!("{options}penalty = \"ridge\"\nlambda = 5\n"), &parts);
    check(&ridge, "ridge", &names, 1e-6);
}

#[test]
fn offset_weights_and_bands_equal_coxph() {
    let frame = lung();
    let parts = frame.split_by("site");
    let cox = |options: &str| {
        fit(&frame, &format!("kind = \"cox\"\nproportional_hazards = \"none\"\n{options}"), &parts)
    };
    check(
        &cox("covariates = [\"sex\"]\noffset = \"ecog\"\n"),
        "offset",
        &[("female", "sex=2")],
        tol::LIKELIHOOD,
    );
    let bands = cox(
        "covariates = [\"sex\", \"age\"]\ntime_varying = [\"sex\"]\ntime_bands_years = [0.99932]\n",
    );
    let names = [
        ("female", "sex=2"),
        ("age", "age"),
        ("female:I(band == 2)TRUE", "follow-up=from 0.99932 years:sex=2"),
    ];
    check(&bands, "bands", &names, tol::LIKELIHOOD);
    let mut weighted = lung();
    weighted.add("w", |row| (1.0 + row("ecog").parse::<f64>().unwrap()).to_string(), "real");
    let options = "kind = \"cox\"\nproportional_hazards = \"none\"\ncovariates = [\"sex\", \"age\"]\nweights = \"w\"\n";
    check(
        &fit(&weighted, options, &parts),
        "weights",
        &[("female", "sex=2"), ("age", "age")],
        tol::LIKELIHOOD,
    );
}

#[test]
fn robust_variances_equal_the_sandwich_of_r() {
    let frame = lung();
    let parts = frame.split_by("site");
    for (variance, name, block) in
        [("robust", "patients", "robust_person"), ("site", "sites", "robust")]
    {
        let options = format!(
            "kind = \"cox\"\ncovariates = [\"sex\", \"age\"]\nproportional_hazards = \"none\"\nvariance = \"{variance}\"\n"
        );
        let estimate = fit(&frame, &options, &parts);
        for (r, term) in [("female", "sex=2"), ("age", "age")] {
            let keys = [("term", term), ("variance", name)];
            let found = number(&estimate, "robust", &keys, "std_error");
            close(found, oracle()[&format!("{block}/{r}/se")], 1e-7, &format!("{block} {r}"));
            // The one asked for is the one that is told.
            let asked = if variance == "site" { "robust_cr2" } else { block };
            let found = number(&estimate, "terms", &[("term", term)], "std_error");
            close(found, oracle()[&format!("{asked}/{r}/se")], 1e-7, &format!("{asked} {r}"));
            if variance == "site" {
                let keys = [("term", term), ("variance", "sites CR2")];
                let found = number(&estimate, "robust", &keys, "std_error");
                close(found, oracle()[&format!("robust_cr2/{r}/se")], 1e-7, &format!("CR2 {r}"));
            }
        }
    }
    // Neither the likelihood ratio nor the score test knows of it.
    let options = "kind = \"cox\"\ncovariates = [\"sex\", \"age\"]\nvariance = \"robust\"\n";
    let estimate = fit(&frame, options, &parts);
    let tests = estimate.table("tests").unwrap();
    assert_eq!((tests.rows.len(), tests.text(0, "test")), (1, "Wald"));
    close(
        tests.number(0, "statistic").unwrap(),
        oracle()["robust_person/model/wald"],
        1e-7,
        "Wald",
    );
    assert!(estimate.table("proportional_hazards").is_none());
    // Three sites are too few to say how much sites differ.
    let options = "kind = \"cox\"\ncovariates = [\"sex\", \"age\"]\nproportional_hazards = \"none\"\nvariance = \"site\"\n";
    let estimate = fit(&frame, options, &parts[..3]);
    assert_eq!(estimate.table("robust").unwrap().text(0, "status"), "K_TOO_SMALL");
    assert_eq!(estimate.table("terms").unwrap().text(0, "status"), "K_TOO_SMALL");
    assert!(estimate.table("terms").unwrap().number(0, "std_error").is_none());
}

/// Weights of 50 for all change nothing: estimate and robust variance are those without weights, at the sites and pooled.
#[test]
fn constant_sampling_weights_change_nothing_anywhere() {
    let mut frame = lung();
    frame.add("w", |_| "50".to_owned(), "real");
    let parts = frame.split_by("site");
    let model = |id: &str, more: &str| {
        format!(
            "[[model]]\nid = \"{id}\"\nkind = \"cox\"\ncovariates = [\"sex\", \"age\"]\nvariance = \"robust\"\n{more}\
             [[model]]\nid = \"{id}_sites\"\nkind = \"meta_analysis\"\nof = \"{id}\"\nterm = \"sex=2\"\n"
        )
    };
    let models = format!(
        "{FOLLOWUP}{}{}",
        model("plain", ""),
        model("weighted", "weights = \"w\"\nweight_type = \"sampling\"\n")
    );
    let found = frame.pool(&models, &parts);
    let term = [("term", "sex=2")];
    for column in ["estimate", "std_error", "p_value"] {
        let [plain, weighted] =
            ["plain", "weighted"].map(|id| number(&found[id], "terms", &term, column));
        close(weighted, plain, 1e-8, column);
    }
    for id in ["plain_sites", "weighted_sites"] {
        let studies = found[id].table("studies").unwrap();
        for (row, part) in parts.iter().enumerate() {
            let site = &frame.text("site")[part[0]];
            let wanted = oracle()[&format!("robust_own_{site}/female/se")];
            close(studies.number(row, "std_error").unwrap(), wanted, 1e-7, &format!("{id} {site}"));
        }
    }
}

/// A site refuses fractions as frequencies, in its first round and hence in a preview, without a value and without a record.
#[test]
fn fractional_weights_are_no_frequencies() {
    let mut frame = lung();
    frame.add("half", |cell| if cell("sex") == "1" { "0.625" } else { "2" }.into(), "real");
    frame.add("whole", |cell| if cell("sex") == "1" { "3" } else { "2" }.into(), "real");
    let all: Vec<usize> = (0..frame.rows).collect();
    let data = frame.site(&all);
    let first_round = |options: &str| {
        let text = format!(
            "{FOLLOWUP}[[model]]\nid = \"m\"\nkind = \"cox\"\ncovariates = [\"sex\"]\nproportional_hazards = \"none\"\n{options}"
        );
        let plan = plan(&frame.study, &text);
        let options = &plan.spec.models.iter().find(|m| m.id == "m").unwrap().options;
        let cox = models::find("cox").unwrap();
        cox.summarise(options, &cox.begin(options).unwrap(), &data).map(|_| ())
    };
    let message = first_round("weights = \"half\"\n").unwrap_err().to_string();
    for words in ["`half`", "whole number", "weight_type = \"sampling\"", "variance = \"robust\""] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(!message.contains(|c: char| c.is_ascii_digit()), "{message}");
    first_round("weights = \"whole\"\n").unwrap();
    first_round("weights = \"half\"\nweight_type = \"sampling\"\nvariance = \"robust\"\n").unwrap();
}

#[test]
fn proportional_hazards_are_tested_by_column_where_asked() {
    let frame = veteran();
    let options = "kind = \"cox\"\ncovariates = [\"celltype\", \"trt\"]\nbaseline = \"common\"\nproportional_hazards = \"identity\"\nproportional_hazards_by = \"term\"\n";
    let estimate = fit(&frame, options, &frame.deal(3));
    let names = [
        ("celltypesmallcell", "celltype=smallcell"),
        ("celltypeadeno", "celltype=adeno"),
        ("celltypelarge", "celltype=large"),
        ("trt2", "trt=2"),
        ("GLOBAL", "all together"),
    ];
    for (r, ours) in names {
        let found = number(&estimate, "proportional_hazards", &[("variable", ours)], "statistic");
        close(found, oracle()[&format!("zph_columns/{r}/chisq")], 1e-7, ours);
    }
}

#[test]
fn interactions_and_splines_are_columns_like_others() {
    let frame = lung();
    let options = "kind = \"cox\"\ncovariates = [\"sex\", \"age\"]\nsplines = { age = [50, 60, 70] }\ninteractions = [[\"sex\", \"age\"]]\nproportional_hazards = \"none\"\n";
    let one = fit(&frame, options, &frame.split_by("site"));
    let names: Vec<&str> = (0..5).map(|r| one.table("terms").unwrap().text(r, "term")).collect();
    assert_eq!(names, ["sex=2", "age", "age'", "sex=2:age", "sex=2:age'"]);
    assert_eq!(one.table("summary").unwrap().text(0, "status"), "OK");
}
