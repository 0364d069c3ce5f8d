//! The example analyses give their expected answers: R on the pooled rows (tests/reference/analyses.R, net_survival.R).

use std::{fs, process::Command};

use tributary::results::Results;

use crate::pooling::{close, number, path, reference};

/// Runs an example as a reader of the README would.
fn example(name: &str) -> Results {
    let folder = path("analyses").join(name);
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
    command.arg("run").arg(folder.join(format!("{name}.toml"))).arg("--out").arg(out.path());
    let mut sites: Vec<_> =
        fs::read_dir(folder.join("sites")).unwrap().map(|entry| entry.unwrap().path()).collect();
    sites.sort();
    sites.iter().for_each(|site| {
        command.arg("--site").arg(site);
    });
    let done = command.output().unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{name}: {told}");
    serde_json::from_str(&fs::read_to_string(out.path().join("results.json")).unwrap()).unwrap()
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
fn net_survival_of_colorectal_cancer_equals_relsurv() {
    let results = example("colorectal");
    let wanted = reference("analyses_reference.csv");
    let net = results.model("net").unwrap().estimate().unwrap();
    for (estimator, tolerance) in [("ederer2", 1e-7), ("pohar-perme", 1e-4)] {
        for site in ["colon", "rectum"] {
            for year in ["1", "3", "5"] {
                let keys = [("group", site), ("estimator", estimator), ("time_years", year)];
                let found = number(net, "times", &keys, "estimate");
                let wanted = wanted[&format!("colorectal_{estimator}/{site}_{year}/surv")];
                // The life table is written with eight digits; gaps between exits are as in relsurv for Ederer II alone.
                close(found, wanted, tolerance, &format!("{estimator} {site} {year}"));
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
