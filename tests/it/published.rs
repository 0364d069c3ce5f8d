//! `tributary meta`: files of published studies, as a reader of the help text would run it.

use std::{fs, process::Command};

use serde_json::Value;

use tributary::results::Results;

use crate::pooling::{close, path, untrue_columns};

fn run(arguments: &[&str]) -> (i32, String, String) {
    let out =
        Command::new(env!("CARGO_BIN_EXE_tributary")).arg("meta").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn json(arguments: &[&str]) -> Value {
    let (code, out, error) = run(&[arguments, &["--format", "json"]].concat());
    assert!(code < 2, "{error}");
    serde_json::from_str(&out).unwrap()
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("studies.csv");
    fs::write(&path, text).unwrap();
    let name = path.display().to_string();
    (folder, name)
}

fn number(row: &Value, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column}: {row}"))
}

/// Riley et al. (2004): the numbers of `metafor` on the published hazard ratios.
#[test]
fn amplified_mycn_has_its_reference_ratios() {
    for (name, common, common_se, q, tau2, random, random_se) in [
        ("os", 1.587901268, 0.06081003075, 158.792638, 0.4223251874, 1.635628448, 0.1218863203),
        ("dfs", 1.329287611, 0.07143068264, 120.5236582, 0.4211906891, 1.484320258, 0.1303458407),
    ] {
        let data = path(&format!("analyses/neuroblastoma/mycn_{name}.csv")).display().to_string();
        let found = json(&[&data, "--measure", "HR", "--method", "DL", "--test", "z"]);
        let pooled = &found["pooled"];
        close(number(&pooled[0], "estimate"), common, 1e-8, name);
        close(number(&pooled[0], "std_error"), common_se, 1e-8, name);
        close(number(&pooled[0], "q"), q, 1e-8, name);
        close(number(&pooled[1], "tau2"), tau2, 1e-8, name);
        close(number(&pooled[1], "estimate"), random, 1e-8, name);
        close(number(&pooled[1], "std_error"), random_se, 1e-8, name);
        close(number(&pooled[1], "back_estimate"), random.exp(), 1e-8, name);
    }
}

#[test]
fn bcg_trials_are_recognised_by_their_columns() {
    let data = path("tests/reference/bcg_counts.csv").display().to_string();
    let found = json(&[
        &data,
        "--measure",
        "RR",
        "--method",
        "reml,mh",
        "--test",
        "z",
        "--moderators",
        "ablat,alloc",
        "--subgroup",
        "alloc",
        "--cluster",
        "alloc",
        "--order",
        "year",
        "--permutations",
        "99",
    ]);
    let pooled = found["pooled"].as_array().unwrap();
    let methods: Vec<&str> = pooled.iter().map(|r| r["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["EE", "REML", "MH"]);
    close(number(&pooled[1], "estimate"), -0.714532, 1e-6, "REML");
    close(number(&pooled[2], "estimate"), -0.453710, 1e-5, "MH");
    assert_eq!(found["studies"].as_array().unwrap().len(), 13);
    let diagnostics = &found["diagnostics"];
    for table in [
        "coefficients",
        "regression",
        "subgroups",
        "between_subgroups",
        "leave_one_out",
        "influence",
        "cumulative_analysis",
        "all_subsets",
        "asymmetry",
        "trim_and_fill",
    ] {
        assert!(!diagnostics[table].as_array().unwrap().is_empty(), "{table}");
    }
    let terms: Vec<&str> = diagnostics["coefficients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["term"].as_str().unwrap())
        .collect();
    assert_eq!(terms, ["(Intercept)", "ablat", "alloc=alternate", "alloc=systematic"]);
    let (code, out, _) = run(&[&data, "--measure", "RR", "--format", "csv"]);
    assert_eq!(code, 0);
    assert!(out.starts_with("method,test,k,estimate,std_error,conf_low"), "{out}");
}

/// Nothing is added to empty cells unless asked; models of counts keep such studies.
#[test]
fn empty_cells_are_kept_by_models_of_counts_and_corrected_by_request_only() {
    let text = "study,events1,n1,events2,n2\nA,0,40,4,41\nB,2,50,7,48\nC,0,30,0,31\nD,1,60,6,59\nE,3,80,5,82\n";
    let (_folder, data) = file(text);
    let found = json(&[&data]);
    let pooled = found["pooled"].as_array().unwrap();
    assert_eq!(pooled[1]["method"], "GLMM-CM.EL");
    assert!(number(&pooled[1], "estimate") < 0.0);
    assert_eq!(number(&pooled[0], "k"), 3.0);
    assert_eq!(found["studies"][0]["status"], "NOT_IDENTIFIED");
    let corrected = json(&[&data, "--to", "only0", "--method", "REML", "--test", "z"]);
    assert_eq!(number(&corrected["pooled"][0], "k"), 5.0);
    // A measure that no model of counts has: the common effect that needs no correction, over all studies.
    for (measure, wanted) in [("RR", "MH"), ("RD", "MH"), ("AS", "REML")] {
        let found = json(&[&data, "--measure", measure]);
        assert_eq!(found["pooled"][1]["method"], wanted, "{measure}");
        assert!(found["pooled"][1]["estimate"].as_f64().is_some(), "{measure}");
    }
    assert_eq!(found["diagnostics"]["tau2_test"][0]["method"], "GLMM-CM.EL");
    assert!(pooled[1]["q"].is_null());
    // 4 of 1 against 10 of 40, which stops other programs: exact and finite.
    let (_folder, data) = file("study,events1,n1,events2,n2\nA,4,5,10,50\nB,3,9,8,40\n");
    let found = json(&[&data, "--method", "GLMM-CM.EL,GLMM-UM.FS,MH,PETO"]);
    for row in found["pooled"].as_array().unwrap() {
        assert!(row["estimate"].as_f64().is_some(), "{row}");
    }
}

#[test]
fn few_studies_have_a_status_and_never_a_number_that_is_none() {
    for (text, status) in [
        ("study,estimate,std_error\nA,0.5,0.2\n", "K_TOO_SMALL"),
        ("study,estimate,std_error\nA,0.5,0.3\nB,0.5,0.3\nC,0.5,0.2\n", "BOUNDARY"),
        ("study,estimate,std_error\nA,0.5,0.2\nB,0.9,0.3\nC,0.1,0.2\n", "OK"),
        ("study,events,n\nA,0,10\nB,0,20\nC,0,15\n", "MONOTONE"),
        ("study,events1,time1,events2,time2\nA,0,10,0,10\nB,0,10,0,9\n", "MONOTONE"),
    ] {
        let (_folder, data) = file(text);
        let found = json(&[&data]);
        let rows = found["pooled"].as_array().unwrap();
        assert!(rows.iter().any(|r| r["status"] == status), "{text}: {rows:?}");
    }
    // Two studies: the Bayesian analysis is the usual one, and no t interval of one degree of freedom is drawn.
    let (_folder, data) = file("study,estimate,std_error\nA,0.5,0.2\nB,0.9,0.3\n");
    let found = json(&[&data]);
    let rows = found["pooled"].as_array().unwrap();
    assert_eq!(rows[1]["method"], "BAYES");
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|r| r["test"] != "hksj-floor"));
    // Three studies whose restricted likelihood has two modes: both are told, the higher one is used.
    let (_folder, data) = file(
        "study,estimate,std_error\nA,-0.48646,0.0151970392\nB,-7.08082,2.96442237\nC,0.28382,0.0248376730\n",
    );
    let found = json(&[&data, "--method", "REML", "--test", "z"]);
    close(number(&found["pooled"][1], "tau2"), 0.4069, 1e-3, "tau2");
    assert!(found["notices"].as_array().unwrap().iter().any(|n| n["key"] == "multimodal"));
}

#[test]
fn faults_name_line_column_and_what_is_wanted() {
    for (text, arguments, wanted) in [
        ("study,estimate\nA,1\n", vec![], "std_error"),
        ("study,estimate,std_error\nA,x,1\n", vec![], "line 2, column `estimate`"),
        ("study,estimate,std_error\nA,1,0\n", vec![], "above 0"),
        ("study,events1,n1,events2,n2\nA,1,2,3,2\n", vec![], "line 2, column `events2`"),
        ("study,events1,n1,events2,n2\nA,1.5,2,1,2\n", vec![], "whole number"),
        ("study,estimate,std_error\n", vec![], "no studies"),
        ("study,estimate,std_error\nA,1,1\n", vec!["--measure", "OR"], "GEN or HR"),
        (
            "study,estimate,std_error\nA,1,1\nB,1,1\n",
            vec!["--method", "MH"],
            "expected one of EE, DL, GENQ",
        ),
        ("study,estimate,std_error\nA,1,1\nB,1,1\n", vec!["--method", "XX"], "expected one of"),
        (
            "study,estimate,std_error\nA,1,1\nB,1,1\n",
            vec!["--moderators", "year"],
            "no column `year`",
        ),
    ] {
        let (_folder, data) = file(text);
        let (code, out, error) = run(&[&[data.as_str()], &arguments[..]].concat());
        assert_eq!(code, 2, "{text} {out}");
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn the_full_report_renders_again_to_the_same_bytes() {
    let data = path("tests/reference/bcg_counts.csv").display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("bcg");
    let (code, _, error) = run(&[
        &data,
        "--measure",
        "RR",
        "--title",
        "BCG",
        "--question",
        "Does it work?",
        "--date",
        "2026-01-01",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(code, 0, "{error}");
    let html = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(html.contains("Does it work?") && html.contains("Risk ratio 0.49"));
    assert!(!html.contains("NaN") && html.contains("Small-study effects"));
    let again = folder.path().join("again");
    let results = out.join("results.json");
    let status = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args([
            "report",
            results.to_str().unwrap(),
            "--format",
            "html",
            "--out",
            again.to_str().unwrap(),
        ])
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(html, fs::read_to_string(again.join("report.html")).unwrap());
}

/// What the columns of every table say of themselves is true, and a file of another version is told as such.
#[test]
fn the_columns_of_results_are_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| path(&format!("tests/reference/{name}")).display().to_string();
    let outcomes = ["--measure", "HR", "--outcome", "outcome", "--correlation", "0.5"];
    let regression = ["--measure", "RR", "--moderators", "ablat", "--permutations", "99"];
    let dose = ["--dose", "dose", "--knots", "3", "--method", "REML", "--test", "z"];
    let cases: [(&str, &[&str]); 6] = [
        ("bcg_counts.csv", &["--measure", "OR", "--method", "EE,DL,REML,MH,PETO,GLMM-UM.FS"]),
        ("bcg_counts.csv", &regression),
        ("nielweise2007.csv", &["--measure", "OR", "--method", "BETABIN,BAYES"]),
        ("pritz.csv", &["--measure", "PLO"]),
        ("riley_long.csv", &outcomes),
        ("doses.csv", &dose),
    ];
    let mut untrue = Vec::new();
    for (i, (data, options)) in cases.into_iter().enumerate() {
        let out = folder.path().join(i.to_string());
        let data_file = file(data);
        let arguments = [&[&*data_file], options, &["--out", out.to_str().unwrap()]].concat();
        let (code, _, error) = run(&arguments);
        assert!(code < 2, "{data}: {error}");
        let text = fs::read_to_string(out.join("results.json")).unwrap();
        let results: Results = serde_json::from_str(&text).unwrap();
        let estimates = results.models.iter().filter_map(|m| m.estimate());
        let columns = untrue_columns(estimates.flat_map(|e| &e.tables));
        untrue.extend(columns.into_iter().map(|column| format!("{data}: {column}")));
        if i == 0 {
            let old = folder.path().join("old.json");
            let old_text = text.replace("\"results_version\": 2", "\"results_version\": 1");
            assert_ne!(text, old_text);
            fs::write(&old, old_text.replace("\"role\"", "\"part\"")).unwrap();
            let told =
                Command::new(env!("CARGO_BIN_EXE_tributary")).arg("report").arg(&old).output();
            let told = String::from_utf8(told.unwrap().stderr).unwrap();
            assert!(
                told.contains("results_version 1, expected 2: run the analysis again"),
                "{told}"
            );
        }
    }
    assert!(untrue.is_empty(), "{untrue:#?}");
}

/// Conditional exact odds ratio, generalised Q and both kinds of limits of τ²: the numbers of `metafor` and `fisher.test`'s kin.
#[test]
fn exact_ratio_own_weights_and_limits_of_tau2() {
    let exact = path("tests/reference/nielweise2007.csv").display().to_string();
    let found = json(&[&exact, "--measure", "OR", "--method", "EXACT"]);
    let pooled = found["pooled"].as_array().unwrap();
    let row = pooled.iter().find(|r| r["method"] == "EXACT").unwrap();
    // R finds them to about the fourth digit (`uniroot`).
    for (column, wanted) in [
        ("estimate", 0.294181332793_f64),
        ("conf_low", 0.182169202412),
        ("conf_high", 0.461477740834),
    ] {
        close(number(row, column), wanted.ln(), 3e-4, column);
    }
    let bcg = path("tests/reference/bcg_counts.csv").display().to_string();
    let weighted =
        json(&[&bcg, "--measure", "RR", "--method", "GENQ", "--weights", "n1", "--test", "z"]);
    let row = weighted["pooled"].as_array().unwrap().iter().find(|r| r["method"] == "GENQ");
    close(number(row.unwrap(), "tau2"), 0.23668074097257, 1e-8, "weights n1");
    let found = json(&[&bcg, "--measure", "RR", "--method", "REML,ML", "--test", "z"]);
    let limits = found["diagnostics"]["tau2_intervals"].as_array().unwrap();
    // The lower limit of ML in R lies 0.002 of its χ² beside the root: `uniroot` stops there.
    for (method, low, high) in
        [("REML", 0.115266105748, 0.964695326514), ("ML", 0.105107380809, 0.833912476824)]
    {
        let of = |r: &&Value| r["method"] == format!("profile likelihood, {method}");
        let row = limits.iter().find(of).unwrap_or_else(|| panic!("{limits:?}"));
        close(number(row, "conf_low"), low, 3e-4, method);
        close(number(row, "conf_high"), high, 1e-5, method);
    }
}

/// Riley et al. (2003): disease-free and overall survival of each study pooled together, as `rma.mv`.
#[test]
fn two_outcomes_of_each_study_are_pooled_together() {
    let data = path("tests/reference/riley_long.csv").display().to_string();
    let reference = crate::pooling::reference("meta_effects_reference.csv");
    for structure in ["UN", "CS", "DIAG"] {
        let case = format!("riley {structure}");
        let found = json(&[
            &data,
            "--measure",
            "HR",
            "--outcome",
            "outcome",
            "--correlation",
            "0.5",
            "--structure",
            structure,
        ]);
        let tables = &found["diagnostics"];
        for row in tables["outcomes"].as_array().unwrap() {
            let outcome = row["outcome"].as_str().unwrap();
            let wanted = |name: &str| reference[&format!("{case}/{outcome}/{name}")];
            close(number(row, "estimate"), wanted("estimate"), 2e-5, &case);
            close(number(row, "std_error"), wanted("se"), 2e-4, &case);
            // The correlation between outcomes is estimated as one, which the reader is told.
            let status = if structure == "DIAG" { "OK" } else { "BOUNDARY" };
            assert_eq!(row["status"], status, "{case}");
        }
        let fit = &tables["fit"][0];
        close(
            number(fit, "log_likelihood"),
            reference[&format!("{case}/fit/log_likelihood")],
            1e-6,
            &case,
        );
        if structure == "UN" {
            close(number(fit, "q"), reference[&format!("{case}/fit/q")], 1e-8, &case);
        }
    }
    let few = "study,outcome,estimate,std_error\nA,x,1,0.5\nA,y,1,0.4\nB,x,1.2,0.5\n";
    let (_folder, data) = file(few);
    let found = json(&[&data, "--outcome", "outcome"]);
    assert_eq!(found["diagnostics"]["outcomes"][0]["status"], "K_TOO_SMALL");
    assert!(found["diagnostics"]["outcomes"][0]["estimate"].is_null());
    for (text, arguments, wanted) in [
        ("study,outcome,estimate,std_error\nA,x,1,1\nA,x,2,1\n", ["--outcome", "outcome"], "`A`"),
        ("study,estimate,std_error\nA,1,1\nB,2,1\n", ["--method", "GENQ"], "--weights"),
        ("study,w,estimate,std_error\nA,1,1,1\nB,0,2,1\n", ["--weights", "w"], "line 3"),
    ] {
        let (_folder, data) = file(text);
        let (code, out, error) = run(&[&[data.as_str()], &arguments[..]].concat());
        assert_eq!(code, 2, "{text} {out}");
        assert!(error.contains(wanted), "{error}");
    }
}

/// Beta-binomial arms: the likelihood written out with `lbeta` in R and maximised there.
#[test]
fn beta_binomial_arms_equal_their_likelihood_in_r() {
    let reference = crate::pooling::reference("meta_effects_reference.csv");
    for (file, measure, case, effect) in [
        ("nielweise2007.csv", "OR", "betabin n7", "effect"),
        ("nielweise2007.csv", "RR", "betabin n7", "log risk ratio"),
        ("bcg_counts.csv", "OR", "betabin bcg", "effect"),
        ("bcg_counts.csv", "RR", "betabin bcg", "log risk ratio"),
        ("pritz.csv", "PLO", "betabin pritz", "effect"),
    ] {
        let data = path(&format!("tests/reference/{file}")).display().to_string();
        let found = json(&[&data, "--measure", measure, "--method", "BETABIN"]);
        let row = found["pooled"].as_array().unwrap().iter().find(|r| r["method"] == "BETABIN");
        let wanted = |what: &str, name: &str| reference[&format!("{case}/{what}/{name}")];
        let row = row.unwrap();
        assert_eq!(row["status"], "OK");
        // With 300,000 persons `lbeta` has lost digits that our products keep.
        let digits = if case == "betabin bcg" { 5e-6 } else { 1e-7 };
        close(number(row, "estimate"), wanted(effect, "estimate"), digits, case);
        close(number(row, "std_error"), wanted(effect, "se"), 1e-5, case);
        let fit = &found["diagnostics"]["beta_binomial"][0];
        close(number(fit, "correlation"), wanted("fit", "correlation"), 1e-5, case);
    }
    // An arm without any event has no finite odds; proportions that agree vary no more than the binomial.
    let none = "study,events1,n1,events2,n2\nA,0,10,2,10\nB,0,20,3,20\n";
    let same = "study,events,n\nA,2,10\nB,4,20\nC,1,5\n";
    let nothing_or_all = "study,events,n\nA,0,20\nB,20,20\nC,15,15\nD,0,12\n";
    for (text, status) in [(none, "MONOTONE"), (same, "BOUNDARY"), (nothing_or_all, "BOUNDARY")] {
        let (_folder, data) = file(text);
        let found = json(&[&data, "--method", "BETABIN"]);
        assert_eq!(found["pooled"][1]["status"], status, "{text}");
    }
}

/// Slopes and splines of dose with the covariances of Greenland and Longnecker, written out in R and pooled by `metafor`.
#[test]
fn ratios_by_dose_equal_two_stages_in_r() {
    let wanted = crate::pooling::reference("dose_response_reference.csv");
    let data = path("tests/reference/doses.csv").display().to_string();
    let found = json(&[&data, "--dose", "dose", "--knots", "3", "--method", "REML", "--test", "z"]);
    let tables = &found["diagnostics"];
    for row in tables["study_slopes"].as_array().unwrap() {
        let of = |stat: &str| wanted[&format!("{}/slope/{stat}", row["study"].as_str().unwrap())];
        close(number(row, "slope"), of("estimate"), 1e-8, "slope");
        close(number(row, "std_error"), of("se"), 1e-8, "slope");
        close(number(row, "q"), of("q"), 1e-8, "Q of a study");
    }
    let pooled = &found["pooled"][1];
    let of = |stat: &str| wanted[&format!("pooled/slope/{stat}")];
    close(number(pooled, "estimate"), of("estimate"), 1e-7, "pooled");
    close(number(pooled, "std_error"), of("se"), 1e-7, "pooled");
    close(number(pooled, "tau2"), of("tau2"), 1e-6, "pooled");
    close(number(pooled, "q"), of("q"), 1e-8, "pooled");
    let spline = &tables["dose_spline"];
    for (row, term) in [(0, "dose"), (1, "bend")] {
        let of = |stat: &str| wanted[&format!("pooled/spline/{term}{stat}")];
        close(number(&spline[row], "estimate"), of(""), 1e-7, term);
        close(number(&spline[row], "std_error"), of("_se"), 1e-6, term);
    }
    let told = found["notices"].as_array().unwrap().iter().any(|n| n["key"] == "dose-at-border");
    assert!(told, "slope and bend vary together");
    for (form, dose, column, key) in [
        ("line", 5.0, "ratio", "5/line"),
        ("line", 20.0, "conf_low", "20/line_low"),
        ("spline", 5.0, "ratio", "5/spline"),
        ("spline", 20.0, "ratio", "20/spline"),
    ] {
        let rows = tables["dose_response"].as_array().unwrap();
        let is = |r: &&Value| r["form"] == form && (number(r, "dose") - dose).abs() < 1e-9;
        let row = rows.iter().find(is).unwrap();
        close(number(row, column), wanted[&format!("predict/{key}")], 1e-5, key);
    }
    let head = "study,dose,cases,n,estimate,std_error\n";
    for (lines, wanted) in [
        ("A,0,10,100,,\n", "reference group only"),
        ("A,0,10,100,0.1,0.2\nA,1,10,100,0.1,0.2\n", "one reference group"),
        ("A,0,10,100,,\nA,0,10,100,0.1,0.2\n", "reference dose"),
        ("A,0,10,x,,\nA,1,10,100,0.1,0.2\n", "line 2, column `n`"),
        ("A,0,10,100,,\nA,1,110,100,0.1,0.2\n", "no more cases than persons"),
        ("A,0,90,100,,\nA,1,90,100,3,0.2\n", "no table with its totals"),
    ] {
        let (_folder, data) = file(&format!("{head}{lines}"));
        let (code, out, error) = run(&[&data, "--dose", "dose"]);
        assert_eq!(code, 2, "{lines} {out}");
        assert!(error.contains(wanted), "{error}");
    }
    let (_folder, data) = file("study,events,n\nA,1,2\n");
    let (code, _, error) = run(&[&data, "--dose", "grams"]);
    assert!(code == 2 && error.contains("no column `grams`"), "{error}");
}

#[test]
fn petos_ratio_is_told_to_fail_far_from_one_and_in_unequal_arms() {
    let keys = |lines: &str| -> Vec<String> {
        let (_folder, data) = file(&format!("study,events1,n1,events2,n2\n{lines}"));
        let found = json(&[&data, "--measure", "OR", "--method", "PETO"]);
        let all = found["notices"].as_array().unwrap().iter();
        all.filter_map(|n| n["key"].as_str())
            .filter(|k| k.starts_with("one-step"))
            .map(str::to_owned)
            .collect()
    };
    assert!(keys("A,10,100,15,100\nB,8,90,12,100\n").is_empty());
    assert_eq!(keys("A,10,100,35,100\nB,8,90,42,100\n"), ["one-step-far"]);
    assert_eq!(keys("A,10,100,15,100\nB,8,90,22,200\n"), ["one-step-unequal"]);
}

/// Both stages stand side by side; the reader is told why they differ: METHODS' numbers of `rma.glmm` and `rma`.
#[test]
fn one_stage_and_two_stand_side_by_side() {
    let data = path("tests/reference/nielweise2007.csv").display().to_string();
    let found = json(&[&data, "--measure", "OR", "--method", "MH"]);
    let stages = found["diagnostics"]["stages"].as_array().unwrap();
    assert_eq!(
        (stages[0]["method"].as_str(), stages[1]["method"].as_str()),
        (Some("GLMM-CM.EL"), Some("REML"))
    );
    close(number(&stages[0], "estimate"), -1.353158, 2e-5, "one stage");
    let own = json(&[&data, "--measure", "OR", "--method", "REML", "--test", "z"]);
    close(number(&stages[1], "estimate"), number(&own["pooled"][1], "estimate"), 1e-12, "two");
    let gap = number(&stages[1], "estimate") - number(&stages[0], "estimate");
    close(number(&stages[1], "difference"), gap / number(&stages[0], "std_error"), 1e-10, "gap");
    let key = |found: &Value| -> Vec<String> {
        let all = found["notices"].as_array().unwrap().iter();
        all.filter_map(|n| n["key"].as_str())
            .filter(|k| k.starts_with("stages"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(key(&found), ["stages-differ-lost"]);
    let (_folder, sparse) =
        file("study,events1,n1,events2,n2\nA,1,40,4,41\nB,2,50,7,48\nC,1,300,5,90\n");
    assert_eq!(key(&json(&[&sparse, "--measure", "OR"])), ["stages-differ-sparse"]);
    // Ratios of risks have no model with a level of its own for each study; too many events are not waited for.
    assert!(json(&[&sparse, "--measure", "RR"])["diagnostics"]["stages"].is_null());
    let (_folder, many) =
        file("study,events1,n1,events2,n2\nA,9000,90000,8000,90000\nB,9000,80000,8500,80000\n");
    let found = json(&[&many, "--measure", "OR"]);
    assert!(found["diagnostics"]["stages"].is_null());
    assert_eq!(key(&found), ["stages-too-many-events"]);
    let (_folder, plenty) = file("study,estimate,std_error\nA,1,0.2\nB,1.1,0.3\n");
    assert!(json(&[&plenty])["diagnostics"]["stages"].is_null());
}
