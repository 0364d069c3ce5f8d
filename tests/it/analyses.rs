//! The example analyses give their expected answers: R on the pooled rows (tests/reference/analyses.R, net_survival.R).

use std::{fs, process::Command};

use tributary::results::Results;

use crate::pooling::{close, number, path, reference};

/// Runs an example as a reader of the README would.
fn example(name: &str) -> Results {
    pages(name, name).0
}

/// The results of an analysis in an example's folder, and its page.
fn pages(name: &str, analysis: &str) -> (Results, String) {
    let folder = path("analyses").join(name);
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.arg("run").arg(folder.join(format!("{analysis}.toml"))).arg("--out").arg(out.path());
    let mut sites: Vec<_> =
        fs::read_dir(folder.join("sites")).unwrap().map(|entry| entry.unwrap().path()).collect();
    sites.sort();
    sites.iter().for_each(|site| {
        command.arg("--site").arg(site);
    });
    let done = command.output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{name}: {told}");
    let text = |file: &str| fs::read_to_string(out.path().join(file)).unwrap();
    let results = serde_json::from_str(&text("results.json")).unwrap();
    crate::words::are_a_readers_own(&results);
    (results, text("report.html"))
}

#[test]
fn two_countries_give_the_hazard_ratio_of_the_pooled_rows() {
    let results = example("breast");
    let wanted = reference("analyses_reference.csv");
    let cox = results.model("cox").unwrap().estimate().unwrap();
    for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
        let found = number(cox, "terms", &[("term", "hormon=1")], column);
        close(found, wanted[&format!("breast/hormon/{stat}")], 1e-8, stat);
    }
    close(number(cox, "summary", &[], "n"), wanted["breast/model/n"], 0.0, "patients");
    close(number(cox, "summary", &[], "n_event"), wanted["breast/model/events"], 0.0, "events");
}

#[test]
fn net_survival_of_colorectal_cancer_equals_its_definition_in_r() {
    let results = example("colorectal");
    let wanted = reference("net_survival_daily_reference.csv");
    let net = results.model("net").unwrap().estimate().unwrap();
    for estimator in ["ederer2", "pohar-perme"] {
        for site in ["colon", "rectum"] {
            for (year, day) in [("1", 365), ("3", 1096), ("5", 1826)] {
                let keys = [("group", site), ("estimator", estimator), ("time_years", year)];
                let found = number(net, "times", &keys, "estimate");
                let wanted = wanted[&format!("{site}/{day}/{estimator}")];
                // The life table is written with eight digits.
                close(found, wanted, 1e-7, &format!("{estimator} {site} {year}"));
            }
        }
    }
}

#[test]
fn period_survival_of_rectal_cancer_equals_popepi() {
    let results = example("rectal");
    let wanted = reference("net_survival_reference.csv");
    let lexis = results.model("lexis").unwrap().estimate().unwrap();
    for year in ["1", "3", "5"] {
        for (approach, block) in [("complete", "sire_e2"), ("period 2008–2012", "sire_e2_period")]
        {
            let keys = [("approach", approach), ("survival", "relative"), ("time_years", year)];
            let found = number(lexis, "times", &keys, "estimate");
            close(found, wanted[&format!("{block}/{year}/r")], 2e-3, &format!("{approach} {year}"));
        }
    }
}

#[test]
fn testicular_cancer_in_denmark_equals_r() {
    let results = example("testis");
    let wanted = reference("incidence_examples_reference.csv");
    let of = |id: &str| results.model(id).unwrap().estimate().unwrap();
    let found = number(of("trend"), "trends", &[("estimator", "poisson")], "percent");
    close(found, wanted["testis/trend/percent"], 1e-7, "trend");
    let keys = [("period", "1990–1996"), ("standard", "world")];
    let found = number(of("rates"), "standardised_rates", &keys, "rate");
    // The regions' person-years are written with four digits.
    close(found, wanted["testis/1990-1996/asr"], 1e-7, "standardised rate");
    let found = number(of("apc"), "drift", &[("estimator", "age-period-cohort model")], "percent");
    close(found, wanted["testis/apc/drift"], 1e-5, "drift");
    let table = of("rates").table("standardised_rates").unwrap();
    let cases: f64 = (0..table.rows.len()).map(|r| table.number(r, "cases").unwrap()).sum();
    close(cases, wanted["testis/cases/n"], 0.0, "cases");
}

#[test]
fn childhood_cancer_in_twelve_countries_equals_r() {
    let results = example("childhood");
    let wanted = reference("incidence_examples_reference.csv");
    let of = |id: &str| results.model(id).unwrap().estimate().unwrap();
    for ages in ["0–14", "0–19"] {
        let keys = [("sex", "all"), ("ages", ages)];
        let name = ages.replace('–', "-");
        for (column, stat) in [("rate", "adj.rate"), ("conf_low", "lci"), ("conf_high", "uci")] {
            let found = number(of("all"), "standardised_rates", &keys, column);
            close(found, wanted[&format!("childhood/{name}/{stat}")], 1e-8, stat);
        }
    }
    // A level of its own for each country, at its best or normal: `glm` and `lme4::glmer`, whose optimiser stops earlier.
    for (model, tolerance) in [("fixed", 1e-7), ("random", 2e-3)] {
        let names = [("age=1–4", "b2"), ("age=15–19", "b5"), ("sex=2", "sex2"), ("year", "y")];
        for (term, key) in names {
            for (column, stat) in [("estimate", "coef"), ("std_error", "se")] {
                let found = number(of(model), "coefficients", &[("term", term)], column);
                let wanted = wanted[&format!("{model}/{key}/{stat}")];
                close(found, wanted, tolerance, &format!("{model} {term} {stat}"));
            }
        }
    }
    for (model, tolerance) in [("fixed", 1e-10), ("random", 1e-5)] {
        for stat in ["log_likelihood", "aic"] {
            let wanted = wanted[&format!("{model}/model/{stat}")];
            close(number(of(model), "summary", &[], stat), wanted, tolerance, stat);
        }
    }
    let sd = number(of("random"), "variation", &[("quantity", "SD between sites")], "estimate");
    close(sd, wanted["random/sd/coef"], 5e-3, "SD between sites");
    // The comparative table: both sexes of a country are all of it, and its rates are those of its own analysis, rounded.
    let table = of("countries").table("comparative").unwrap();
    assert_eq!(table.rows.len(), 36);
    for r in (0..36).step_by(3).filter(|&r| table.text(r, "status") == "OK") {
        let n = |i: usize| table.number(r + i, "cases").unwrap();
        close(n(1) + n(2), n(0), 0.0, table.text(r, "site"));
        assert!(table.number(r, "standardised_rate").unwrap() > 50.0);
    }
    // Every country is shown; the groups together are all cases.
    assert_eq!(of("countries").table("sites").unwrap().rows.len(), 12);
    let quality = of("quality").table("indicators").unwrap();
    let mv: f64 = (0..quality.rows.len())
        .filter(|&r| quality.text(r, "indicator") == "MV%" && quality.text(r, "sex") == "all")
        .map(|r| quality.number(r, "cases").unwrap())
        .sum();
    close(mv, wanted["childhood/all/n"], 0.0, "cases");
    // By kind and sex, as `binom.test` and `poisson.test` have them.
    for (group, sex) in ["01", "03"].into_iter().flat_map(|g| ["all", "1", "2"].map(|s| (g, s))) {
        let of_r = |key: &str| wanted[&format!("quality/{group}/{sex}/{key}")];
        let keys = [("group", group), ("sex", sex), ("indicator", "MV%")];
        for (column, stat) in [("cases", "mv/n"), ("share", "mv/share"), ("share_low", "mv/low")] {
            close(number(of("quality"), "indicators", &keys, column), of_r(stat), 1e-9, stat);
        }
        let columns = [
            ("deaths", "mi/deaths"),
            ("mi_ratio", "mi/ratio"),
            ("mi_ratio_low", "mi/low"),
            ("mi_ratio_high", "mi/high"),
        ];
        for (column, stat) in columns {
            close(number(of("quality"), "mortality", &keys[..2], column), of_r(stat), 1e-8, stat);
        }
    }
    let median =
        number(of("countries"), "heterogeneity", &[("quantity", "median rate ratio")], "value");
    assert!((1.0..1.3).contains(&median), "{median}");
}

/// Rectal cancer of Finnish women: `epitools`, `glm` and counts in R on the pooled patients (tests/reference/finland.R); the pages have
/// the columns of Five Continents, those of children the columns of IICC.
#[test]
fn the_finnish_yearbook_equals_r_and_has_its_columns() {
    let (results, page) = pages("rectal", "yearbook");
    let wanted = reference("finland_reference.csv");
    let of = |id: &str| results.model(id).unwrap().estimate().unwrap();
    for period in ["1993–2002", "2003–2012"] {
        let of_r = |key: &str| wanted[&format!("{}/{key}", period.replace('–', "-"))];
        let keys = [("period", period), ("age", "all")];
        close(number(of("rates"), "rates", &keys, "cases"), of_r("all/cases"), 0.0, "cases");
        close(number(of("rates"), "rates", &keys, "rate"), of_r("all/crude"), 1e-8, "crude");
        let keys = [("period", period), ("standard", "world"), ("ages", "0+")];
        for (column, stat) in [("rate", "adj.rate"), ("conf_low", "lci"), ("conf_high", "uci")] {
            let found = number(of("rates"), "standardised_rates", &keys, column);
            close(found, of_r(&format!("world/{stat}")), 1e-8, stat);
        }
        let keys = [("period", period), ("ages", "0–74")];
        let found = number(of("rates"), "cumulative", &keys, "cumulative_rate");
        close(found, of_r("0-74/cumulative"), 1e-8, "cumulative");
        // Ages without an end have no width.
        let table = of("rates").table("cumulative").unwrap();
        assert!((0..table.rows.len()).all(|r| !table.text(r, "ages").ends_with('+')));
    }
    let found = number(of("trend"), "trends", &[("estimator", "poisson")], "percent");
    close(found, wanted["trend/poisson/percent"], 1e-7, "trend");
    for years in ["5", "10", "20"] {
        let keys = [("duration", years), ("age", "all")];
        let found = number(of("alive"), "prevalence", &keys, "prevalent");
        close(found, wanted[&format!("prevalence/{years}/n")], 0.0, "alive");
        let found = number(of("alive"), "prevalence", &keys, "rate");
        close(found, wanted[&format!("prevalence/{years}/rate")], 1e-8, "alive");
    }
    for head in ["All ages", "Age unk.", "85+", "CR64", "CR74", "ASR (World)", "ICD-10", "C19–20"]
    {
        assert!(page.contains(head), "{head}");
    }
    let (_, page) = pages("childhood", "childhood");
    for head in ["M:F", "MV%", "DCO%", "M:I", "World 0–14", "World 0–19", "boys"] {
        assert!(page.contains(head), "{head}");
    }
}
