//! Options of `tributary meta`: each does what `metafor` does under that name (tests/reference/meta_options.R), or is refused by name.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::Value;
use tributary::stats::meta_diagnostics::begg;

use crate::pooling::{close, csv, path, reference};

fn run(arguments: &[&str]) -> (i32, String, String) {
    let out =
        Command::new(env!("CARGO_BIN_EXE_tributary")).arg("meta").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn json(arguments: &[&str]) -> Value {
    let (code, out, error) = run(&[arguments, &["--format", "json"]].concat());
    assert!(code < 2, "{arguments:?}: {error}");
    serde_json::from_str(&out).unwrap()
}

/// What is said of a run that ends with a fault.
fn refused(arguments: &[&str]) -> String {
    let (code, _, error) = run(arguments);
    assert_eq!(code, 2, "{arguments:?} is taken");
    error
}

fn data(name: &str) -> String {
    path(&format!("tests/reference/{name}")).display().to_string()
}

fn number(row: &Value, column: &str) -> f64 {
    row[column].as_f64().unwrap_or_else(|| panic!("{column}: {row}"))
}

/// The row of a table in which columns hold these words.
fn row<'a>(table: &'a Value, words: &[(&str, &str)]) -> &'a Value {
    let rows = table.as_array().unwrap();
    let found = rows.iter().find(|r| words.iter().all(|(column, word)| r[column] == *word));
    found.unwrap_or_else(|| panic!("{words:?} in {table}"))
}

fn holds(found: &Value, wanted: &BTreeMap<String, f64>, key: &str, tolerance: f64) {
    let mut held = 0;
    for (name, value) in wanted.iter().filter(|(name, _)| name.starts_with(&format!("{key}/"))) {
        let column = name.rsplit('/').next().unwrap();
        if !found[column].is_null() {
            close(number(found, column), *value, tolerance, name);
            held += 1;
        }
    }
    assert!(held > 0, "{key}: {found}");
}

fn wanted() -> BTreeMap<String, f64> {
    reference("meta_options_reference.csv").into_iter().collect()
}

const TESTS: [(&str, &str); 4] =
    [("z", "z"), ("t", "t"), ("hksj", "knha"), ("hksj-floor", "adhoc")];

#[test]
fn a_common_effect_takes_the_test_that_is_named() {
    let (bcg, wanted) = (data("bcg_counts.csv"), wanted());
    for (test, key) in TESTS {
        let found = json(&[&bcg, "--measure", "RR", "--method", "EE", "--test", test]);
        let rows = found["pooled"].as_array().unwrap();
        assert_eq!(rows.len(), 1, "{test}");
        assert_eq!(rows[0]["test"], test);
        holds(&rows[0], &wanted, &format!("bcg EE/{key}"), 1e-8);
    }
}

#[test]
fn the_generalised_q_pools_by_the_weights_it_is_given() {
    let (bcg, wanted) = (data("bcg_counts.csv"), wanted());
    for (test, key) in TESTS {
        let found =
            json(&[&bcg, "--measure", "RR", "--method", "GENQ", "--weights", "n1", "--test", test]);
        let found = row(&found["pooled"], &[("method", "GENQ"), ("test", test)]);
        holds(found, &wanted, &format!("bcg GENQ/{key}"), 1e-8);
    }
}

#[test]
fn prediction_intervals_follow_the_test_where_that_is_asked_for() {
    let (bcg, wanted) = (data("bcg_counts.csv"), wanted());
    for (test, key) in TESTS {
        let as_test = ["--prediction", "as-test"];
        let plain = ["--measure", "RR", "--method", "REML", "--test", test];
        let found = json(&[&[bcg.as_str()], &plain[..], &as_test].concat());
        let found = row(&found["pooled"], &[("method", "REML"), ("test", test)]).clone();
        holds(&found, &wanted, &format!("bcg REML/{key}"), 1e-7);
        // By default they are those of t, which under z are wider.
        let usual = json(&[&[bcg.as_str()], &plain[..]].concat());
        let usual = row(&usual["pooled"], &[("method", "REML"), ("test", test)]);
        if test == "z" {
            let half = |r: &Value| number(r, "pred_high") - number(r, "pred_low");
            // Points of t with 12 degrees of freedom and of the normal distribution.
            close(
                half(usual) / half(&found),
                2.178_812_829_667_228 / 1.959_963_984_540_054,
                1e-9,
                "t",
            );
        } else {
            close(number(usual, "pred_low"), number(&found, "pred_low"), 1e-12, test);
        }
    }
}

#[test]
fn q_of_mantel_and_haenszel_takes_the_corrected_effects() {
    let (cells, wanted) = (data("meta_empty_cell.csv"), wanted());
    for measure in ["OR", "RR", "RD"] {
        for to in ["none", "only0", "all"] {
            let add: &[&str] = if to == "none" { &[] } else { &["--add", "0.25"] };
            let asked = [&cells, "--measure", measure, "--method", "MH", "--to", to];
            let found = json(&[&asked[..], add].concat());
            let found = row(&found["pooled"], &[("method", "MH")]);
            holds(found, &wanted, &format!("MH {measure}/{to}"), 1e-9);
        }
    }
}

#[test]
fn every_measure_of_counts_takes_the_correction() {
    let wanted = wanted();
    let rows = csv("meta_empty_cell.csv").1;
    let one_arm: Vec<String> =
        rows.iter().map(|r| format!("{},{},{}\n", r[0], r[1], r[2])).collect();
    let one_arm = one_arm.concat();
    let folder = tempfile::tempdir().unwrap();
    let single = folder.path().join("single.csv");
    fs::write(&single, format!("study,events,n\n{one_arm}")).unwrap();
    let single = single.display().to_string();
    let both = data("meta_empty_cell.csv");
    let two = ["OR", "RR", "RD", "PETO", "AS"].map(|m| (m, &both));
    for (measure, file) in
        two.into_iter().chain(["PR", "PLN", "PLO", "PAS", "PFT"].map(|m| (m, &single)))
    {
        let found = json(&[file, "--measure", measure, "--to", "all", "--add", "0.25"]);
        for study in ["A", "B", "C"] {
            let found = row(&found["studies"], &[("study", study)]);
            holds(found, &wanted, &format!("all {measure}/{study}"), 1e-9);
        }
    }
}

#[test]
fn begg_and_mazumdars_test_corrects_its_variance_for_ties() {
    let wanted = wanted();
    for (file, key) in [("meta_ties.csv", "begg/ties"), ("meta_many.csv", "begg/75 studies")] {
        let found = json(&[&data(file), "--method", "REML", "--test", "z"]);
        let found = row(&found["diagnostics"]["asymmetry"], &[("test", "Begg")]);
        close(number(found, "statistic"), wanted[&format!("{key}/statistic")], 1e-9, key);
        close(number(found, "p_value"), wanted[&format!("{key}/p_value")], 1e-8, key);
    }
    // Variances that are all the same have no rank correlation.
    let (y, v): (Vec<f64>, Vec<f64>) = (0..12).map(|i| (f64::from(i * i), 0.25)).unzip();
    assert!(begg(&y, &v).is_none());
}

/// metafor gives a standard error of 0, a statistic without end and p = 0.
#[test]
fn identical_effects_have_no_hartung_knapp_interval_but_a_status() {
    let folder = tempfile::tempdir().unwrap();
    let same = folder.path().join("same.csv");
    let line = |i: i32| format!("S{i},-0.1,{},{i}\n", 0.2 + 0.01 * f64::from(i));
    let text = [1, 2, 3, 4, 5].map(line).concat();
    fs::write(&same, format!("study,estimate,std_error,x\n{text}")).unwrap();
    let same = same.display().to_string();
    for method in ["REML", "DL", "EE", "PM"] {
        let found = json(&[&same, "--method", method, "--test", "hksj,hksj-floor"]);
        let of = |test| row(&found["pooled"], &[("method", method), ("test", test)]);
        let none = of("hksj");
        close(number(none, "estimate"), -0.1, 1e-12, method);
        for column in ["std_error", "conf_low", "conf_high", "statistic", "p_value", "pred_low"] {
            assert!(none[column].is_null(), "{method}: {none}");
        }
        assert_eq!(none["status"], "NOT_IDENTIFIED");
        assert!(number(of("hksj-floor"), "std_error") > 0.09, "{method}");
    }
    let bent = json(&[&same, "--method", "REML", "--test", "hksj", "--moderators", "x"]);
    let slope = row(&bent["diagnostics"]["coefficients"], &[("term", "x")]);
    assert!(slope["conf_low"].is_null() && slope["status"] == "NOT_IDENTIFIED", "{slope}");
}

#[test]
fn outcomes_have_the_covariances_of_each_study() {
    let wanted = wanted();
    let (berkey, covariance) = (data("berkey.csv"), data("berkey_covariance.csv"));
    for method in ["REML", "ML"] {
        let asked = [&berkey, "--outcome", "outcome", "--covariance", &covariance];
        let found = json(&[&asked[..], &["--method", method]].concat());
        for outcome in ["PD", "AL"] {
            let found = row(&found["diagnostics"]["outcomes"], &[("outcome", outcome)]);
            // `optim` stops a little below the maximum of the likelihood, which is flat in the variances between studies.
            holds(found, &wanted, &format!("berkey {method}/{outcome}"), 5e-5);
        }
        let fit = &found["diagnostics"]["fit"][0];
        holds(fit, &wanted, &format!("berkey {method}/fit"), 1e-7);
    }
}

#[test]
fn covariances_that_do_not_fit_the_studies_are_refused() {
    let berkey = data("berkey.csv");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.csv");
    let lines = fs::read_to_string(data("berkey_covariance.csv")).unwrap();
    let check = |text: String, says: &[&str]| {
        fs::write(&file, text).unwrap();
        let name = file.display().to_string();
        let error = refused(&[&berkey, "--outcome", "outcome", "--covariance", &name]);
        for part in says {
            assert!(error.contains(part), "{part}: {error}");
        }
    };
    let cut: Vec<&str> = lines.split_inclusive('\n').take(5).collect();
    let cut = cut.concat();
    check(cut, &["study `5`", "no line for `AL` with `PD`"]);
    check(format!("{lines}6,PD,AL,0.1\n"), &["study `6`, line 7", "no effect"]);
    check(format!("{lines}1,AL,PD,0.004\n"), &["study `1`, line 7", "0.004", "0.003"]);
    check(format!("{lines}1,PD,PD,0.2\n"), &["study `1`, line 7", "square of its standard error"]);
    check(lines.replace("0.003", "0.3"), &["study `1`", "between −1 and 1"]);
    check(
        lines.replace("covariance", "cov"),
        &["no column `covariance`", "study, outcome, with, cov"],
    );
}

#[test]
fn options_that_nothing_uses_are_refused_by_name() {
    let (bcg, riley) = (data("bcg_counts.csv"), data("riley_long.csv"));
    for (asked, option) in [
        (vec!["--method", "MH", "--test", "hksj"], "--test"),
        (vec!["--method", "GLMM-CM.EL", "--test", "z"], "--test"),
        (vec!["--method", "BAYES", "--test", "t"], "--test"),
        (vec!["--method", "EXACT", "--test", "hksj-floor"], "--test"),
        (vec!["--method", "MH", "--moderators", "ablat"], "--moderators"),
        (vec!["--method", "PETO", "--subgroup", "alloc"], "--subgroup"),
        (vec!["--method", "BETABIN", "--cluster", "alloc"], "--cluster"),
        (vec!["--method", "GLMM-UM.FS", "--order", "year"], "--order"),
        (vec!["--method", "MH", "--permutations", "10"], "--permutations"),
        (vec!["--method", "REML", "--weights", "n1"], "--weights"),
        (vec!["--method", "REML", "--prior", "half-cauchy"], "--prior"),
        (vec!["--method", "REML", "--prior-scale", "1"], "--prior"),
        (vec!["--method", "REML", "--measure", "RR", "--nodes", "5"], "--nodes"),
        (vec!["--method", "EE", "--prediction", "as-test"], "--prediction"),
        (vec!["--method", "REML", "--add", "0.25"], "--to"),
        (vec!["--method", "REML", "--add", "0.25", "--to", "none"], "--add"),
        (vec!["--method", "REML", "--correlation", "0.2"], "--outcome"),
        (vec!["--method", "REML", "--structure", "CS"], "--outcome"),
        (vec!["--method", "REML", "--seed", "2"], "--permutations"),
        (vec!["--method", "REML", "--knots", "3"], "--dose"),
    ] {
        let measure = if asked.contains(&"--measure") { vec![] } else { vec!["--measure", "OR"] };
        let error = refused(&[&[bcg.as_str()][..], &measure, &asked].concat());
        assert!(error.contains(option), "{asked:?}: {error}");
    }
    for (asked, option) in [
        (["--method", "DL"], "--method"),
        (["--method", "REML,ML"], "--method"),
        (["--test", "hksj"], "--test"),
        (["--prior", "half-normal"], "--prior"),
        (["--nodes", "5"], "--nodes"),
        (["--prediction", "as-test"], "--prediction"),
        (["--subgroup", "study"], "--subgroup"),
        (["--order", "study"], "--order"),
        (["--permutations", "9"], "--permutations"),
        (["--to", "all"], "--to"),
    ] {
        // REML predicts, but not of several outcomes.
        let error = refused(&[&[riley.as_str(), "--outcome", "outcome"][..], &asked].concat());
        assert!(error.contains(option), "{asked:?}: {error}");
    }
}

#[test]
fn what_is_there_twice_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trials.csv");
    let table =
        "study,team,estimate,std_error\nA,1,0.2,0.1\nB,1,0.1,0.2\nA,1,0.3,0.1\nC,2,0.5,0.3\n";
    fs::write(&file, table).unwrap();
    let file = file.display().to_string();
    for (asked, words) in [
        (["--method", "REML,DL,REML"], "the method REML is named twice"),
        (["--test", "z,t,z"], "the test z is named twice"),
    ] {
        let error = refused(&[&[file.as_str()][..], &asked].concat());
        assert!(error.contains(words), "{error}");
    }
    // Several comparisons of one study may be meant: told, and pooled.
    let reml = ["--method", "REML"];
    let (code, out, _) = run(&[&[file.as_str()][..], &reml].concat());
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("note: studies-repeated (OK) studies A\n"), "{out}");
    let (_, out, _) = run(&[&[file.as_str(), "--cluster", "team"][..], &reml].concat());
    assert!(!out.contains("studies-repeated"), "{out}");
}

/// A study without an effect is left out by what pools effects, and somebody should look; models of counts take it.
#[test]
fn a_study_that_is_left_out_ends_with_a_look() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trials.csv");
    let asked = |table: &str, more: &[&str]| {
        fs::write(&file, table).unwrap();
        let (code, out, error) = run(&[&[file.to_str().unwrap()][..], more].concat());
        (code, out.contains("note: studies-without-effect"), error)
    };
    let plain = "study,o,estimate,std_error\nA,x,0.2,0.1\nB,x,0.1,0.2\nC,x,0.3,0.1\nA,y,0.5,0.3\nB,y,0.4,0.3\nC,y,0.1,0.3\n";
    let lost = format!("{plain}D,x,1e300,1e-300\n");
    for more in [&["--method", "REML"][..], &["--method", "BAYES"], &["--outcome", "o"]] {
        assert_eq!(asked(&lost, more), (1, true, String::new()), "{more:?}");
    }
    assert!(!asked(plain, &["--method", "REML"]).1);
    let counts =
        "study,events1,n1,events2,n2\nA,0,20,3,20\nB,2,30,5,30\nC,4,40,9,40\nD,6,50,9,50\n";
    assert_eq!(asked(counts, &["--method", "REML"]), (1, true, String::new()));
    assert_eq!(asked(counts, &["--method", "MH"]), (0, true, String::new()));
}

#[test]
fn nothing_is_added_to_arcsines_unless_the_amount_is_said() {
    // metafor's escalc adds 0 for AS, PAS and PFT where `add` is not given.
    let file = data("bcg_counts.csv");
    for to in ["only0", "all"] {
        let error = refused(&[&file, "--measure", "AS", "--method", "EE", "--to", to]);
        assert!(
            error.contains("--to has no effect here") && error.contains("--add 0.5"),
            "{error}"
        );
        json(&[&file, "--measure", "AS", "--method", "EE", "--to", to, "--add", "0.5"]);
        json(&[&file, "--measure", "OR", "--method", "EE", "--to", to]);
    }
}

#[test]
fn numbers_out_of_range_are_told_as_such() {
    let file = data("bcg_counts.csv");
    for (asked, word) in [
        (["--level", "-1"], "found -1, expected a confidence level"),
        (["--prior-scale", "-1"], "--prior-scale is -1"),
        // Years of work, not a result.
        (["--permutations", "1000000000"], "0..=1000000"),
    ] {
        let error = refused(&[&[file.as_str(), "--measure", "OR"][..], &asked].concat());
        assert!(error.contains(word), "{asked:?}: {error}");
    }
    let riley = data("riley_long.csv");
    json(&[&riley, "--outcome", "outcome", "--correlation", "-0.2"]);
}

#[test]
fn a_file_that_cannot_be_read_says_what_it_is_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trials.csv");
    let check = |bytes: &[u8], says: &[&str]| {
        fs::write(&file, bytes).unwrap();
        let error = refused(&[&file.display().to_string()]);
        for part in says {
            assert!(error.contains(part), "{part}: {error}");
        }
    };
    check(
        b"study;events1;n1\nA;1;2\n",
        &["semicolons (;)", "expected commas", "points in decimal"],
    );
    check(b"study\tevents\tn\nA\t1\t2\n", &["tabs", "expected commas"]);
    check(b"PK\x03\x04\x14\0\x06\0", &["spreadsheet (.xlsx", "export the table as CSV"]);
    check(b"\xD0\xCF\x11\xE0\xA1\xB1", &["Excel workbook (.xls)"]);
    check(b"\xFF\xFEs\0t\0", &["UTF-16"]);
    check(b"study,events,n\nA,1,2\nM\xFCller,1,2\n", &["line 3", "UTF-8"]);
    check(b"study,events1,n1,events2\nA,1,2,1\n", &["study, events1, n1, events2", "lack n2"]);
    check(b"events,n\n1,2\n", &["lack study"]);
    check(b"study,x\n1,2\n", &["study, x", "estimate, std_error"]);
    check(b"study,events,n\nA,1,2\n\nB,1,2,3\n", &["line 4", "found 4 fields, expected 3"]);
    check(b"study,events,n\nA,1\n", &["line 2", "found 2 fields, expected 3"]);
    check(b"study,events,n,n\nA,1,2,2\n", &["two columns are called `n`"]);
    check(b"study,events,n\nA,1,2\n\"B,1,2\nC,1,2\"\n", &["line 3", "several lines"]);
    check(b"study,events,n\n\nA,1,2\nB,x,2\n", &["line 4", "`events`", "`x`"]);
    // The mark that Excel writes at the beginning is no fault.
    fs::write(&file, b"\xEF\xBB\xBFstudy,events,n\nA,1,20\nB,2,20\nC,4,20\n").unwrap();
    let found = json(&[&file.display().to_string(), "--method", "REML"]);
    assert_eq!(found["studies"].as_array().unwrap().len(), 3);
}
