//! Survival models against R's `survival` 3.5-3 (tests/reference/survival.R), the rows split over 1, 2, 5 and 40 sites.

use std::collections::BTreeMap;

use tributary::estimate::Estimate;

use crate::pooling::{Frame, close, number, reference, tol};

const FOLLOWUP: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\nzero = \"as_is\"\n";

fn oracle() -> BTreeMap<String, f64> {
    reference("survival_reference.csv")
}

fn aml() -> Frame {
    Frame::read(
        "aml.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 200]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Relapse\"\n\
         [dictionary.group]\ntype = \"category\"\nlabel = \"Chemotherapy\"\nlevels = [\"Maintained\", \"Nonmaintained\"]\n",
    )
}

pub fn lung() -> Frame {
    Frame::read(
        "lung.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1100]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
         [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\n\
         [dictionary.ecog]\ntype = \"real\"\nlabel = \"ECOG\"\n\
         [dictionary.sex]\ntype = \"category\"\nlabel = \"Sex\"\nlevels = [\"1\", \"2\"]\n",
    )
}

fn every_split(frame: &Frame) -> Vec<Vec<Vec<usize>>> {
    [1, 2, 5, 40].into_iter().filter(|k| *k * 2 < frame.rows).map(|k| frame.deal(k)).collect()
}

#[test]
fn kaplan_meier_equals_survfit_for_every_interval() {
    let frame = aml();
    for kind in ["log-log", "log", "plain", "logit", "arcsine"] {
        let model = format!(
            "{FOLLOWUP}[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\ninterval = \"{kind}\"\n"
        );
        for parts in every_split(&frame) {
            let km = &frame.pool(&model, &parts)["km"];
            for time in ["9", "23", "31", "45"] {
                let block = kind.replace("arcsine", "arcsin");
                for (r, ours) in [
                    ("n.risk", "n_risk"),
                    ("surv", "estimate"),
                    ("std.err", "std_error"),
                    ("lower", "conf_low"),
                    ("upper", "conf_high"),
                ] {
                    let Some(wanted) = oracle().get(&format!("km_aml_{block}/{time}/{r}")).copied()
                    else {
                        continue;
                    };
                    let found = number(km, "curve", &[("time", time)], ours);
                    close(found, wanted, tol::CLOSED, &format!("{kind} {time} {r}"));
                }
            }
        }
    }
}

#[test]
fn quantiles_and_restricted_means_equal_survfit() {
    let frame = aml();
    let tau = 40.0 / 365.25;
    let model = format!(
        "{FOLLOWUP}[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\nby = \"group\"\nquantiles = [0.25, 0.5]\nrestricted_mean_years = {tau}\n"
    );
    let km = &frame.pool(&model, &frame.deal(5))["km"];
    for group in ["Maintained", "Nonmaintained"] {
        for (p, stat, column) in [
            ("0.25", "estimate", "estimate"),
            ("0.5", "estimate", "estimate"),
            ("0.25", "low", "conf_low"),
            ("0.5", "low", "conf_low"),
            ("0.5", "high", "conf_high"),
        ] {
            let wanted = oracle().get(&format!("quantile_aml_{group}/{p}/{stat}")).copied();
            let Some(wanted) = wanted else { continue };
            let found = number(km, "quantiles", &[("group", group), ("quantile", p)], column);
            close(found, wanted, tol::CLOSED, &format!("quantile {p} {group} {stat}"));
        }
        for (stat, column) in [("mean", "estimate"), ("se", "std_error")] {
            let wanted = oracle()[&format!("rmst_aml_{group}/40/{stat}")];
            let found = number(km, "restricted_mean", &[("group", group)], column);
            close(found, wanted, tol::CLOSED, &format!("restricted mean {group} {stat}"));
        }
    }
    // survRM2::rmst2 prints 6.967 (−3.167, 17.102), p 0.178 for the arms the other way round.
    let difference = number(km, "restricted_mean", &[("measure", "difference")], "estimate");
    assert!((difference + 6.967).abs() < 5e-4);
    assert!(
        (number(km, "restricted_mean", &[("measure", "difference")], "p_value") - 0.178).abs()
            < 5e-4
    );
}

/// R package `bpcp`, all printed digits.
#[test]
fn the_beta_product_interval_equals_bpcp() {
    let frame = aml();
    let model = format!(
        "{FOLLOWUP}[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\ntimes_years = [{}, {}]\n",
        24.0 / 365.25,
        50.0 / 365.25
    );
    let km = &frame.pool(&model, &frame.deal(2))["km"];
    let row = |years: f64, column: &str| {
        let table = km.table("times").unwrap();
        let at = (0..2)
            .find(|&r| (table.number(r, "time_years").unwrap() - years).abs() < 1e-9)
            .unwrap();
        table.number(at, column).unwrap()
    };
    assert!((row(24.0 / 365.25, "bpcp_low") - 0.3173639).abs() < 5e-8);
    assert!((row(24.0 / 365.25, "bpcp_high") - 0.7587694).abs() < 5e-8);
    assert!((row(50.0 / 365.25, "bpcp_low") - 0.0027327).abs() < 5e-8);
    assert!((row(50.0 / 365.25, "bpcp_high") - 0.3268816).abs() < 5e-8);
}

#[test]
fn cumulative_hazards_equal_survfit() {
    let frame = aml();
    let model = format!(
        "{FOLLOWUP}[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\ncumulative_hazard = true\n"
    );
    for parts in every_split(&frame) {
        let km = &frame.pool(&model, &parts)["km"];
        for (key, wanted) in oracle().iter().filter(|(key, _)| key.starts_with("cumhaz_aml")) {
            let parts: Vec<&str> = key.split('/').collect();
            let estimator =
                if parts[0].ends_with('1') { "nelson-aalen" } else { "fleming-harrington" };
            let column = match parts[2] {
                "cumhaz" => "estimate",
                "se" => "std_error",
                _ => "survival",
            };
            let keys = [("estimator", estimator), ("time", parts[1])];
            close(number(km, "cumulative_hazard", &keys, column), *wanted, tol::CLOSED, key);
        }
    }
}

/// Conditional survival is survival with late entry at the condition.
#[test]
fn conditional_survival_equals_late_entry() {
    let frame = lung();
    let (given, to) = (180.0 / 365.25, 365.0 / 365.25);
    let model = format!(
        "{FOLLOWUP}[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\ntimes_years = [{to}]\nconditional_years = [{given}]\n"
    );
    let km = &frame.pool(&model, &frame.deal(5))["km"];
    for (stat, column) in [
        ("surv", "estimate"),
        ("std.err", "std_error"),
        ("lower", "conf_low"),
        ("upper", "conf_high"),
    ] {
        let wanted = oracle()[&format!("conditional_lung/180/{stat}")];
        close(number(km, "conditional", &[], column), wanted, tol::CLOSED, stat);
    }
}

/// A coarse grid: the actuarial estimate lies between the two extreme placements of the censored, and so does the daily one.
#[test]
fn a_coarse_grid_has_its_bracket() {
    let frame = lung();
    let fit = |options: &str| {
        let model = format!(
            "{FOLLOWUP}[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\ntimes_years = [1, 2]\n{options}"
        );
        frame.pool(&model, &frame.deal(5)).remove("km").unwrap()
    };
    let (daily, monthly) = (fit(""), fit("grid_days = 30.4375\nlife_table = \"months\"\n"));
    for years in ["1", "2"] {
        let at = [("time_years", years)];
        let exact = number(&daily, "times", &at, "estimate");
        let actuarial = number(&monthly, "times", &at, "estimate");
        let low = number(&monthly, "bracket", &at, "lowest");
        let high = number(&monthly, "bracket", &at, "highest");
        assert!(low <= actuarial && actuarial <= high && low <= exact && exact <= high, "{years}");
        assert!((actuarial - exact).abs() < 0.003 && high - low < 0.05, "{years}: {low} {high}");
        let months = (12.0 * years.parse::<f64>().unwrap() * 30.4375).to_string();
        let table = number(&monthly, "life_table", &[("to_days", &months)], "estimate");
        close(table, actuarial, tol::CLOSED, "life table on the grid");
    }
}

#[test]
fn weighted_log_rank_tests_have_their_definition() {
    // Scores of R, where the cell types are in alphabetical order.
    let cases =
        [(aml(), "group", "wlr_aml", "1, 2"), (veteran(), "celltype", "wlr_veteran", "4, 3, 1, 2")];
    for (frame, by, block, scores) in cases {
        for (name, options) in [
            ("lr", ""),
            ("gehan", "weights = \"gehan\"\n"),
            ("tarone", "weights = \"tarone-ware\"\n"),
            ("peto", "weights = \"peto-peto\"\n"),
            ("fh01", "gamma = 1\n"),
            ("fh11", "rho = 1\ngamma = 1\n"),
        ] {
            let model = format!(
                "{FOLLOWUP}[[model]]\nid = \"t\"\nkind = \"log_rank\"\nby = \"{by}\"\nstratify_by_site = false\ntrend = [{scores}]\n{options}"
            );
            let t = &frame.pool(&model, &frame.deal(2))["t"];
            let wanted = oracle()[&format!("{block}/{name}/chisq")];
            close(
                number(t, "test", &[], "statistic"),
                wanted,
                tol::CLOSED,
                &format!("{block} {name}"),
            );
            let wanted = oracle()[&format!("{block}/{name}/trend")];
            close(
                number(t, "trend", &[], "statistic"),
                wanted,
                tol::CLOSED,
                &format!("trend {block} {name}"),
            );
        }
    }
}

/// Peto's one step on aml: U = 11 − 7.310664, V = U² / χ² of survdiff; ln HR = U / V.
#[test]
fn petos_one_step_is_the_score_over_its_variance() {
    let model = format!(
        "{FOLLOWUP}[[model]]\nid = \"t\"\nkind = \"log_rank\"\nby = \"group\"\nstratify_by_site = false\n"
    );
    let estimate = &aml().pool(&model, &aml().deal(3))["t"];
    let chisq = oracle()["logrank_aml/all/chisq"];
    let u = 11.0 - oracle()["logrank_aml/group=Nonmaintained/expected"];
    let keys = [("group", "Nonmaintained"), ("reference", "Maintained")];
    close(number(estimate, "peto", &keys, "estimate"), chisq / u, tol::CLOSED, "U / V");
    close(number(estimate, "peto", &keys, "std_error"), chisq.sqrt() / u, tol::CLOSED, "1 / √V");
    assert!(estimate.notices.is_empty());
}

#[test]
fn log_rank_tests_equal_survdiff() {
    let check = |frame: &Frame, by: &str, block: &str, options: &str, parts: &[Vec<usize>]| {
        let model = format!(
            "{FOLLOWUP}[[model]]\nid = \"t\"\nkind = \"log_rank\"\nby = \"{by}\"\n{options}"
        );
        let estimate = &frame.pool(&model, parts)["t"];
        let found = number(estimate, "test", &[], "statistic");
        close(found, oracle()[&format!("{block}/all/chisq")], tol::CLOSED, block);
        for (key, wanted) in
            oracle().iter().filter(|(key, _)| key.starts_with(&format!("{block}/{by}=")))
        {
            let (_, rest) = key.split_once('=').unwrap();
            let (group, stat) = rest.split_once('/').unwrap();
            close(number(estimate, "groups", &[("group", group)], stat), *wanted, tol::CLOSED, key);
        }
    };
    let pooled = "stratify_by_site = false\n";
    for parts in every_split(&aml()) {
        check(&aml(), "group", "logrank_aml", pooled, &parts);
        check(&aml(), "group", "logrank_aml_rho1", &format!("{pooled}rho = 1\n"), &parts);
    }
    for parts in every_split(&lung()) {
        check(&lung(), "sex", "logrank_lung", pooled, &parts);
    }
    check(&lung(), "sex", "logrank_lung_by_site", "", &lung().split_by("site"));
    for parts in every_split(&veteran()) {
        check(&veteran(), "celltype", "logrank_veteran", pooled, &parts);
    }
}

fn veteran() -> Frame {
    Frame::read(
        "veteran.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1100]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
         [dictionary.trt]\ntype = \"real\"\nlabel = \"Treatment\"\n\
         [dictionary.karno]\ntype = \"real\"\nlabel = \"Karnofsky\"\n\
         [dictionary.celltype]\ntype = \"category\"\nlabel = \"Cell type\"\nlevels = [\"squamous\", \"smallcell\", \"adeno\", \"large\"]\n",
    )
}

fn check_cox(estimate: &Estimate, block: &str, names: &[(&str, &str)]) {
    let oracle = oracle();
    let wanted = |key: &str| oracle[&format!("{block}/{key}")];
    for (r, ours) in names {
        for (stat, column) in [("coef", "estimate"), ("se", "std_error"), ("p", "p_value")] {
            let found = number(estimate, "terms", &[("term", ours)], column);
            close(
                found,
                wanted(&format!("{r}/{stat}")),
                tol::LIKELIHOOD,
                &format!("{block} {r} {stat}"),
            );
        }
    }
    for (r, ours) in [("loglik_null", "log_likelihood_null"), ("loglik", "log_likelihood")] {
        close(
            number(estimate, "summary", &[], ours),
            wanted(&format!("model/{r}")),
            tol::CLOSED,
            r,
        );
    }
    for (r, ours) in [("lr", "likelihood ratio"), ("wald", "Wald"), ("score", "score")] {
        let found = number(estimate, "tests", &[("test", ours)], "statistic");
        // R rounds the Wald statistic to two decimals.
        let tolerance = if r == "wald" { 5e-3 / found } else { tol::LIKELIHOOD };
        close(found, wanted(&format!("model/{r}")), tolerance, &format!("{block} {r}"));
    }
}

fn check_proportional_hazards(estimate: &Estimate, block: &str, names: &[(&str, &str)]) {
    for (r, ours) in names.iter().chain(&[("GLOBAL", "all together")]) {
        let found = number(estimate, "proportional_hazards", &[("variable", ours)], "statistic");
        close(found, oracle()[&format!("{block}/{r}/chisq")], 1e-7, &format!("{block} {r}"));
    }
}

const LUNG: [(&str, &str); 3] = [("age", "age"), ("sex", "sex=2"), ("ecog", "ecog")];
const LUNG_VARIABLES: [(&str, &str); 3] = [("age", "age"), ("sex", "sex"), ("ecog", "ecog")];

fn cox(options: &str) -> String {
    format!("{FOLLOWUP}[[model]]\nid = \"cox\"\nkind = \"cox\"\n{options}\n")
}

#[test]
fn cox_with_a_common_baseline_equals_coxph_on_the_pooled_rows() {
    let frame = lung();
    for parts in every_split(&frame) {
        for (ties, block) in [("efron", "cox_lung_efron"), ("breslow", "cox_lung_breslow")] {
            let model = cox(&format!(
                "covariates = [\"age\", \"sex\", \"ecog\"]\nbaseline = \"common\"\nties = \"{ties}\""
            ));
            let estimate = &frame.pool(&model, &parts)["cox"];
            check_cox(estimate, block, &LUNG);
            if ties == "efron" {
                check_proportional_hazards(estimate, "cox_lung_efron_zph_km", &LUNG_VARIABLES);
            }
        }
    }
    for transform in ["log", "identity"] {
        let model = cox(&format!(
            "covariates = [\"age\", \"sex\", \"ecog\"]\nbaseline = \"common\"\nproportional_hazards = \"{transform}\""
        ));
        let estimate = &frame.pool(&model, &frame.deal(5))["cox"];
        check_proportional_hazards(
            estimate,
            &format!("cox_lung_efron_zph_{transform}"),
            &LUNG_VARIABLES,
        );
    }
}

#[test]
fn cox_with_own_baselines_equals_coxph_stratified_by_site() {
    let frame = lung();
    let parts = frame.split_by("site");
    for transform in ["km", "log", "identity"] {
        let model = cox(&format!(
            "covariates = [\"age\", \"sex\", \"ecog\"]\nproportional_hazards = \"{transform}\""
        ));
        let estimate = &frame.pool(&model, &parts)["cox"];
        check_cox(estimate, "cox_lung_by_site", &LUNG);
        check_proportional_hazards(
            estimate,
            &format!("cox_lung_by_site_zph_{transform}"),
            &LUNG_VARIABLES,
        );
    }
    let model = cox("covariates = [\"age\", \"ecog\"]\nstrata = [\"sex\"]");
    check_cox(&frame.pool(&model, &parts)["cox"], "cox_lung_by_site_and_sex", &[LUNG[0], LUNG[2]]);
}

#[test]
fn a_factor_is_tested_as_a_whole_for_proportional_hazards() {
    let frame = veteran();
    for parts in every_split(&frame) {
        let model = cox(
            "covariates = [\"trt\", \"celltype\", \"karno\"]\nreference = { celltype = \"adeno\" }\nbaseline = \"common\"",
        );
        let estimate = &frame.pool(&model, &parts)["cox"];
        let names = [
            ("trt", "trt"),
            ("celltypesmallcell", "celltype=smallcell"),
            ("celltypelarge", "celltype=large"),
            ("celltypesquamous", "celltype=squamous"),
            ("karno", "karno"),
        ];
        check_cox(estimate, "cox_veteran", &names);
        check_proportional_hazards(
            estimate,
            "cox_veteran_zph_km",
            &[("trt", "trt"), ("celltype", "celltype"), ("karno", "karno")],
        );
    }
}

/// Late entry: everybody is at risk after entry and up to exit.
#[test]
fn late_entry_equals_r() {
    let frame = Frame::read(
        "heart.csv",
        "[dictionary.start]\ntype = \"days\"\nlabel = \"Entry\"\n\
         [dictionary.stop]\ntype = \"days\"\nlabel = \"Exit\"\nrange = [0, 4000]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
         [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\n\
         [dictionary.surgery]\ntype = \"real\"\nlabel = \"Surgery\"\n",
    );
    let followup =
        "[followup]\ntime = \"stop\"\nevent = \"event\"\nentry = \"start\"\nzero = \"as_is\"\n";
    for parts in every_split(&frame) {
        let years: Vec<String> =
            [30.0, 150.0, 600.0].iter().map(|t| (t / 365.25).to_string()).collect();
        let model = format!(
            "{followup}[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\ntimes_years = [{}]\n\
             [[model]]\nid = \"log\"\nkind = \"cox\"\ncovariates = [\"age\", \"surgery\"]\nbaseline = \"common\"\nproportional_hazards = \"log\"\n\
             [[model]]\nid = \"identity\"\nkind = \"cox\"\ncovariates = [\"age\", \"surgery\"]\nbaseline = \"common\"\nproportional_hazards = \"identity\"\n",
            years.join(", ")
        );
        let estimates = frame.pool(&model, &parts);
        for (t, years) in ["30", "150", "600"].iter().zip(&years) {
            for (r, ours) in [
                ("surv", "estimate"),
                ("std.err", "std_error"),
                ("lower", "conf_low"),
                ("upper", "conf_high"),
                ("n.risk", "n_risk"),
            ] {
                let found = number(&estimates["km"], "times", &[("time_years", years)], ours);
                close(
                    found,
                    oracle()[&format!("km_heart_late_entry/{t}/{r}")],
                    tol::CLOSED,
                    &format!("{t} {r}"),
                );
            }
        }
        check_cox(&estimates["log"], "cox_heart", &[("age", "age"), ("surgery", "surgery")]);
        for transform in ["log", "identity"] {
            let names = [("age", "age"), ("surgery", "surgery")];
            check_proportional_hazards(
                &estimates[transform],
                &format!("cox_heart_zph_{transform}"),
                &names,
            );
        }
    }
    // One site alone: its own baseline is the common one, with late entries in the streaming sums.
    let model = format!(
        "{followup}[[model]]\nid = \"cox\"\nkind = \"cox\"\ncovariates = [\"age\", \"surgery\"]\n"
    );
    let estimate = &frame.pool(&model, &frame.deal(1))["cox"];
    check_cox(estimate, "cox_heart", &[("age", "age"), ("surgery", "surgery")]);
    check_proportional_hazards(
        estimate,
        "cox_heart_zph_log",
        &[("age", "age"), ("surgery", "surgery")],
    );
}

/// survRM2::rmst2 on pbc prints 7.146 (0.283), 7.283 (0.295), difference −0.137 (−0.939 to 0.665), p 0.738; survfit on lung 263.2 (7.799).
#[test]
fn published_restricted_means_come_out() {
    let pbc = Frame::read(
        "pbc.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 5000]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
         [dictionary.arm]\ntype = \"category\"\nlabel = \"Arm\"\nlevels = [\"1\", \"2\"]\n",
    );
    let model = format!(
        "{FOLLOWUP}[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\nby = \"arm\"\nrestricted_mean_years = 10\n"
    );
    let km = &pbc.pool(&model, &pbc.deal(5))["km"];
    let mean = |keys: &[(&str, &str)], column: &str| number(km, "restricted_mean", keys, column);
    for arm in ["1", "2"] {
        let keys = [("group", arm), ("measure", "mean")];
        for (stat, column) in [("mean", "estimate"), ("se", "std_error")] {
            let wanted = 365.25 * oracle()[&format!("rmst_pbc/{arm}/{stat}")];
            close(mean(&keys, column), wanted, 1e-9, &format!("{arm} {stat}"));
        }
        let lost = mean(&[("group", arm), ("measure", "lost")], "estimate");
        close(lost + mean(&keys, "estimate"), 3652.5, 1e-12, "time lost");
    }
    let p = mean(&[("measure", "difference")], "p_value");
    assert!((p - 0.738).abs() < 5e-4, "{p}");
    let ratio = mean(&[("measure", "ratio")], "estimate");
    close(ratio, oracle()["rmst_pbc/2/mean"] / oracle()["rmst_pbc/1/mean"], 1e-9, "ratio");

    let lung = all_lung();
    let model = format!(
        "{FOLLOWUP}[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\nrestricted_mean_years = {}\n",
        365.0 / 365.25
    );
    let km = &lung.pool(&model, &lung.deal(2))["km"];
    let found = number(km, "restricted_mean", &[("measure", "mean")], "estimate");
    close(found, oracle()["rmst_lung/365/mean"], 1e-9, "lung");
}

/// All 228 patients; those with a missing value leave the models that need it.
fn all_lung() -> Frame {
    Frame::read(
        "lung_all.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1100]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
         [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\n\
         [dictionary.sex]\ntype = \"real\"\nlabel = \"Sex\"\n\
         [dictionary.ecog]\ntype = \"real\"\nlabel = \"ECOG\"\n",
    )
}

/// Numbers that are printed for `lung` in many places: Cox by both tie rules, and the Weibull model of `survreg`.
#[test]
fn published_regressions_of_lung_come_out() {
    let frame = all_lung();
    let fit = |options: &str| {
        frame
            .pool(&format!("{FOLLOWUP}[[model]]\nid = \"m\"\n{options}"), &frame.deal(5))
            .remove("m")
            .unwrap()
    };
    let covariates = "covariates = [\"age\", \"sex\", \"ecog\"]\n";
    for (ties, wanted, errors, log_likelihood) in [
        (
            "efron",
            [0.0110667646, -0.5526123957, 0.4637284754],
            [0.009267411, 0.167739054, 0.113577266],
            -729.2301214,
        ),
        ("breslow", [0.0110411363, -0.5518895698, 0.4629470406], [f64::NAN; 3], -729.4887052),
    ] {
        let cox = fit(&format!(
            "kind = \"cox\"\nbaseline = \"common\"\nproportional_hazards = \"none\"\nties = \"{ties}\"\n{covariates}"
        ));
        for (i, term) in ["age", "sex", "ecog"].iter().enumerate() {
            let keys = [("term", *term)];
            assert!(
                (number(&cox, "terms", &keys, "estimate") - wanted[i]).abs() < 1e-9,
                "{ties} {term}"
            );
            let error = number(&cox, "terms", &keys, "std_error");
            assert!(errors[i].is_nan() || (error - errors[i]).abs() < 1e-8, "{ties} {term}");
        }
        assert!((number(&cox, "summary", &[], "log_likelihood") - log_likelihood).abs() < 1e-6);
    }
    let weibull = fit(
        "kind = \"parametric\"\ndistribution = \"weibull\"\ntime_unit = \"days\"\ncovariates = [\"ecog\", \"age\", \"sex\"]\n",
    );
    let wanted = [6.273435252, -0.339638098, -0.007475439, 0.401090541, -0.313192730];
    let terms = weibull.table("terms").unwrap();
    for (row, wanted) in wanted.iter().enumerate() {
        assert!((terms.number(row, "estimate").unwrap() - wanted).abs() < 1e-8, "{row}");
    }
    assert!((number(&weibull, "summary", &[], "log_likelihood") + 1132.439).abs() < 1e-3);
}
