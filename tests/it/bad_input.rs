//! What users get wrong: each case ends with exit code 2, a message that says what was found, what was wanted and what to do,
//! nothing written, and no value of a record shown.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;
use tributary::{
    models::{MODELS, find},
    plan::Plan,
};

use crate::{
    options::{HEAD, more_of},
    pooling::path,
    wilms::study,
};

/// A copy of the Wilms study in which something can be broken.
struct Study {
    folder: TempDir,
}

impl Study {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&path("analyses/wilms"), folder.path());
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.file(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        fs::write(self.file(name), text.replacen(from, to, 1)).unwrap();
    }

    fn run(&self) -> Output {
        let sites = ["XA", "XB", "XC", "XD", "XE"].map(|s| self.file("sites").join(s));
        Command::new(env!("CARGO_BIN_EXE_tributary"))
            .arg("run")
            .arg(self.file("wilms.toml"))
            .arg("--site")
            .args(sites)
            .arg("--out")
            .arg(self.file("results"))
            .output()
            .unwrap()
    }

    /// Runs, and expects exit code 2, all of `words` in the message, and nothing written.
    fn fails(&self, words: &[&str]) -> String {
        let output = self.run();
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        for word in words {
            assert!(message.contains(word), "no `{word}` in:\n{message}");
        }
        let written: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("results"))
            .collect();
        assert!(written.is_empty(), "{written:?}");
        message
    }
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

const XA: &str = "sites/XA/nwtco_XA_encr_like.csv";
const XC: &str = "sites/XC/nwtco_XC_canreg_like.txt";

#[test]
fn the_untouched_copy_runs() {
    let output = Study::new().run();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_missing_column_is_named_with_file_line_and_likely_name() {
    let study = Study::new();
    study.edit(XA, "hist_loc;", "hist_lok;");
    study.fails(&[
        "nwtco_XA_encr_like.csv has no column `hist_loc`",
        "mapping.toml",
        "did you mean `hist_lok`?",
    ]);
}

/// The sentinel is looked for in everything that is printed.
#[test]
fn an_unknown_code_and_a_broken_date_are_told_by_line_and_never_by_value() {
    let study = Study::new();
    study.edit(XA, "8960;3;2;1;1;NWTS-3;0;1994-07-27", "8960;SENTINEL77;2;1;1;NWTS-3;0;1994-07-27");
    study.edit(XC, "19911225", "19911299");
    let message = study.fails(&["cannot be mapped"]);
    // Both sites are told, not only the first.
    for words in [
        "line 2: `behaviour` is not a code of the dictionary",
        "line 2: `last_contact_date` is not a date in the form",
    ] {
        assert!(message.contains(words), "{words}:\n{message}");
    }
    assert!(!message.contains("SENTINEL77") && !message.contains("19911299"), "{message}");
    let check = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(["site", "check"])
        .arg(study.file("sites/XA"))
        .output()
        .unwrap();
    assert_eq!(check.status.code(), Some(1));
    let report = String::from_utf8(check.stdout).unwrap();
    assert!(report.contains("records received  1530\nrecords mapped    1529"), "{report}");
    assert!(report.contains("line 2: `behaviour` is not a code of the dictionary"), "{report}");
    assert!(!report.contains("SENTINEL77"));
}

#[test]
fn a_site_may_accept_unmapped_records_and_the_flow_shows_them() {
    let study = Study::new();
    study.edit(XA, "8960;3;2;1;1;NWTS-3;0;1994-07-27", "8960;7;2;1;1;NWTS-3;0;1994-07-27");
    study.edit("sites/XA/site.toml", "mapping = ", "unmapped_limit = 3\nmapping = ");
    let output = study.run();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let flow = fs::read_to_string(study.file("results/tables/participation.flow.csv")).unwrap();
    // One record not mapped is fewer than five: hidden, with another part, so that no total gives it back.
    assert!(flow.contains("XA,not mapped,,SUPPRESSED"), "{flow}");
    let html = fs::read_to_string(study.file("results/report.html")).unwrap();
    assert!(html.contains("count below the floor"));
}

#[test]
fn a_record_given_twice_is_not_counted_twice() {
    let study = Study::new();
    let text = fs::read_to_string(study.file(XA)).unwrap();
    let line = text.lines().nth(1).unwrap().to_owned();
    fs::write(study.file(XA), format!("{text}{line}\n")).unwrap();
    study.fails(&["`tumour_id` repeats the value of an earlier record", "line 1532"]);
}

#[test]
fn a_wrong_encoding_says_which_line_and_what_to_write() {
    let study = Study::new();
    study.edit("sites/XD/mapping.toml", "iso-8859-1", "utf-8");
    study.fails(&["line 1 is not valid utf-8", "iso-8859-1"]);
    study.edit("sites/XD/mapping.toml", "utf-8", "latin-99");
    study.fails(&["the encoding `latin-99` is unknown"]);
}

#[test]
fn an_empty_file_and_a_header_alone_hold_no_records() {
    for text in ["", "\n\n", "pat;tum;date_of_birth\n"] {
        let study = Study::new();
        fs::write(study.file(XA), text).unwrap();
        study.fails(&["nwtco_XA_encr_like.csv", "at least one record"]);
    }
}

#[test]
fn a_line_with_too_many_fields_is_no_silent_shift() {
    let study = Study::new();
    study.edit(XA, "2;2;1979-02-15;1;4;3;", "2;2;1979-02-15;1;4;3;;;;;");
    study.fails(&["line 2 has 22 fields", "every line needs as many fields as the header"]);
}

/// The same site as Parquet, its codes as floating-point numbers, gives the same results; cut off, it is refused.
#[test]
fn parquet_is_read_and_a_truncated_file_is_refused() {
    use polars::prelude::{Column, DataFrame, DataType, ParquetWriter};
    let study = Study::new();
    let wanted = study.run();
    assert_eq!(wanted.status.code(), Some(0));
    let table = "results/tables/cox_central.terms.csv";
    let wanted = fs::read_to_string(study.file(table)).unwrap();
    fs::remove_dir_all(study.file("results")).unwrap();

    let parquet = study.file("sites/XA/tumours.parquet");
    let text = fs::read_to_string(study.file(XA)).unwrap();
    let mut lines = text.lines().map(|line| line.split(';').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let rows: Vec<Vec<&str>> = lines.collect();
    let columns = header.iter().enumerate().map(|(i, name)| {
        let cells: Vec<Option<&str>> =
            rows.iter().map(|row| Some(row[i]).filter(|cell| !cell.is_empty())).collect();
        let column = Column::new((*name).into(), cells);
        // Codes become floating-point numbers, as programs make them of whole numbers with gaps.
        column.strict_cast(&DataType::Float64).unwrap_or(column)
    });
    let mut frame = DataFrame::new(rows.len(), columns.collect()).unwrap();
    ParquetWriter::new(fs::File::create(&parquet).unwrap()).finish(&mut frame).unwrap();
    study.edit("sites/XA/site.toml", "nwtco_XA_encr_like.csv", "tumours.parquet");
    let output = study.run();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read_to_string(study.file(table)).unwrap(), wanted);
    fs::remove_dir_all(study.file("results")).unwrap();

    let bytes = fs::read(&parquet).unwrap();
    fs::write(&parquet, &bytes[..bytes.len() / 2]).unwrap();
    study.fails(&["tumours.parquet", "not readable as Parquet", "truncated"]);
}

#[test]
fn an_unknown_model_and_a_misspelt_option_are_told_together_at_their_lines() {
    let study = Study::new();
    study.edit("wilms.toml", "kind = \"log_rank\"", "kind = \"log_rang\"");
    study.edit("wilms.toml", "covariates = [\"x_hist_central\"", "covariate = [\"x_hist_central\"");
    study.edit("wilms.toml", "restricted_mean_years = 5", "restricted_mean_years = 50");
    let message = study.fails(&[
        "there is no model `log_rang`",
        "did you mean `log_rank`?",
        "unknown field `covariate`",
        "did you mean `covariates`?",
        "field `covariates` is missing",
        "50 years is not between 0 and the horizon",
        "wilms.toml:",
    ]);
    assert!(message.matches("error").count() >= 4, "{message}");
}

#[test]
fn names_and_levels_that_the_dictionary_lacks_are_told_with_what_it_has() {
    let study = Study::new();
    study.edit(
        "wilms.toml",
        "\"stage\", \"age_years\", \"x_study\"]\n\n[[model]]\nid = \"cox_local\"",
        "\"stgae\", \"age_years\", \"topography\"]\n\n[[model]]\nid = \"cox_local\"",
    );
    study.edit("wilms.toml", "positive = \"UH\"", "positive = \"UX\"");
    study.fails(&[
        "no variable `stgae`",
        "did you mean `stage`?",
        "`topography` is of type text",
        "`UX` is not a level",
    ]);
}

/// Whatever the model calls what it compares patients by. An outcome of another model, and the time of entry, are taken.
#[test]
fn an_outcome_cannot_be_what_patients_are_compared_by() {
    let study = fs::read_to_string(path("analyses/wilms/study.toml")).unwrap();
    let more = "[dictionary.delay]\ntype = \"days\"\nlabel = \"Delay\"\nrange = [0, 900]\n\
                [dictionary.death]\ntype = \"flag\"\nlabel = \"Death\"\n";
    let study = tributary::spec::Study::parse("study.toml", &format!("{study}\n{more}")).unwrap();
    let check = |model: &str| {
        let text = format!(
            "id = \"a\"\ntitle = \"A\"\nquestion = \"?\"\nstudy = \"wilms\"\n\
             [followup]\ntime = \"followup_days\"\nevent = \"relapse\"\n\
             [[model]]\nid = \"m\"\n{model}\n"
        );
        Plan::check("analysis.toml", &text, study.clone()).map_err(|faults| faults.to_string())
    };
    for (model, role) in [
        ("kind = \"cox\"\ncovariates = [\"stage\", \"followup_days\"]", "time"),
        ("kind = \"cox\"\ncovariates = [\"stage\"]\nstrata = [\"relapse\"]", "event"),
        ("kind = \"cox_patterns\"\ncovariates = [\"relapse\"]", "event"),
        (
            "kind = \"fine_gray\"\ncause = \"1\"\ncompeting = []\ncovariates = [\"relapse\"]",
            "event",
        ),
        ("kind = \"kaplan_meier\"\nby = \"relapse\"", "event"),
        ("kind = \"log_rank\"\nby = \"stage\"\nstrata = [\"relapse\"]", "event"),
        (
            "kind = \"competing_risks\"\ncauses = [\"1\"]\nby = \"relapse\"\ntimes_years = [1]",
            "event",
        ),
        ("kind = \"poisson\"\nbands_years = [1]\ncovariates = [\"relapse\"]", "event"),
        (
            "kind = \"parametric\"\ndistribution = \"weibull\"\ncovariates = [\"followup_days\"]",
            "time",
        ),
        ("kind = \"profile_likelihood\"\neffect = \"relapse\"", "event"),
    ] {
        let message = check(model).unwrap_err();
        let words = format!("is the {role} of this model's own follow-up");
        assert!(
            message.contains(&words) && message.contains("analysis.toml:"),
            "{model}\n{message}"
        );
    }
    let own = "followup = { time = \"followup_days\", event = \"death\" }";
    let entry = "followup = { time = \"followup_days\", event = \"relapse\", entry = \"delay\" }";
    for model in [
        &format!("kind = \"cox\"\ncovariates = [\"stage\", \"delay\"]\n{entry}"),
        "kind = \"characteristics\"\nvariables = [\"stage\"]\nby = \"relapse\"",
        &format!("kind = \"kaplan_meier\"\nby = \"relapse\"\n{own}"),
    ] {
        check(model).unwrap_or_else(|message| panic!("{model}\n{message}"));
    }
}

#[test]
fn conditions_are_held_against_the_dictionary_and_the_allow_list() {
    for (condition, words) in [
        ("morphologie = '8960'", vec!["no variable `morphologie`", "did you mean `morphology`?"]),
        ("stage = '5'", vec!["`stage` is compared with '5'", "one of '1', '2', '3', '4'"]),
        ("stage > '2'", vec!["has unordered codes"]),
        ("age_years < 'ten'", vec!["`age_years` is compared with 'ten', expected a number"]),
        ("incidence_date > 1985", vec!["expected a date such as '1985-01-31'"]),
        ("birth_date > '1980-01-01'", vec!["`birth_date` identifies a person"]),
        ("abs(age_years) < 3", vec!["is where a variable is expected"]),
        ("age_years + 1 < 3", vec!["is where a variable is expected"]),
        ("age_years LIKE '3%'", vec!["is not allowed in a condition", "allowed are"]),
        ("(SELECT 1) = 1", vec!["is where a variable is expected"]),
        ("age_years <", vec!["not a condition"]),
        ("1 = 1; DROP TABLE x", vec!["not a condition"]),
    ] {
        let study = Study::new();
        study.edit(
            "wilms.toml",
            "topography = 'C649' AND morphology = '8960' AND behaviour = '3'",
            condition,
        );
        study.fails(&words);
    }
}

#[test]
fn a_population_with_nobody_stops_the_run() {
    let study = Study::new();
    study.edit("wilms.toml", "ages = { to = 19 }", "ages = { from = 20 }");
    study.fails(&["no record at any site meets the conditions of the population"]);
}

#[test]
fn toml_that_is_none_shows_every_place() {
    let study = Study::new();
    study.edit("wilms.toml", "id = \"wilms-relapse\"", "id = wilms relapse");
    study.fails(&["not TOML", "wilms.toml:1"]);
}

#[test]
fn site_files_are_held_against_their_schema_and_the_presets() {
    let study = Study::new();
    study.edit("sites/XD/site.toml", "FR-SNDS", "FR-SNDZ");
    study.fails(&["there is no preset `FR-SNDZ`", "FR-SNDS"]);
    let study = Study::new();
    study.edit("sites/XD/site.toml", "preset = \"FR-SNDS\"", "min_cel = 11");
    study.fails(&["there is no rule `min_cel`", "did you mean `min_cell`?"]);
    let study = Study::new();
    study.edit("sites/XD/site.toml", "preset = \"FR-SNDS\"", "preset = \"GB-ENG-HES\"");
    study.fails(&["asks for `round_base`, which is not applied here"]);
    let study = Study::new();
    study.edit("sites/XD/site.toml", "code = \"XD\"", "code = \"XQ\"");
    study.fails(&["site XQ is not a member of study wilms"]);
    let study = Study::new();
    study.edit("sites/XD/mapping.toml", "topography = {", "topografy = {");
    study.fails(&["no variable `topografy`", "did you mean `topography`?"]);
}

#[test]
fn a_folder_with_other_files_is_not_overwritten() {
    let study = Study::new();
    fs::create_dir(study.file("results")).unwrap();
    fs::write(study.file("results/thesis.txt"), "mine").unwrap();
    let output = study.run();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("thesis.txt"));
    assert_eq!(fs::read_to_string(study.file("results/thesis.txt")).unwrap(), "mine");
}

/// A stricter site holds its own estimate back: exit code 1, the number stays at the site, the report says which rule.
#[test]
fn a_site_that_holds_back_is_told_and_the_rest_is_pooled() {
    let study = Study::new();
    study.edit("sites/XE/site.toml", "preset = \"US-CMS\"", "min_events = 30");
    let output = study.run();
    assert_eq!(output.status.code(), Some(1));
    let own_eyes = String::from_utf8(output.stderr).unwrap();
    assert!(
        own_eyes
            .contains("withheld at XE: the answer for `countries_central` is based on 29 events"),
        "{own_eyes}"
    );
    let results = fs::read_to_string(study.file("results/results.json")).unwrap();
    assert!(results.contains("\"rule\": \"min-events\""));
    assert!(!results.contains("is based on"));
    let studies =
        fs::read_to_string(study.file("results/tables/countries_central.studies.csv")).unwrap();
    assert_eq!(studies.lines().count(), 5, "four sites and a header");
}

#[test]
fn a_sites_rule_without_effect_is_told() {
    let study = Study::new();
    study.edit(
        "sites/XD/site.toml",
        "preset = \"FR-SNDS\"",
        "preset = \"FR-SNDS\"\nmin_cell = 3\nmin_sites = 1\nmin_events = 20",
    );
    let check = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(["site", "check"])
            .arg(study.file("sites/XD"))
            .output()
            .unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        for word in words {
            assert!(told.contains(word), "no `{word}` in:\n{told}");
        }
        told
    };
    let told = check(&[
        "min_cell = 3 under [policy] has no effect: min_cell = 11 is stricter and applies",
        "min_sites = 1 under [policy] has no effect: min_sites = 3 is stricter and applies",
        "preset FR-SNDS has rules that this program does not apply, so you see to them: dominance_pct,",
    ]);
    // A stricter rule is simply applied.
    assert!(!told.contains("min_events"), "{told}");
    let run = study.run();
    let told = String::from_utf8(run.stderr).unwrap();
    assert!(told.contains("XD: min_cell = 3 under [policy] has no effect"), "{told}");
    // A rule that is no number of persons has its fault at its own line.
    let study = Study::new();
    study.edit("sites/XD/site.toml", "preset = \"FR-SNDS\"", "min_cell = -3");
    study.fails(&["found -3, expected a whole number from 0", "site.toml:", "min_cell = -3"]);
}

/// Tables of names that people choose: of variables, of models and of codes.
const NAMED_FREELY: &[&str] =
    &["splines", "reference", "classes", "values", "columns", "recode", "constants", "dictionary"];

/// Places of all tables within a value whose fields have fixed names.
fn tables_in(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let mut above = at.rsplit('/');
            let codes = above.clone().nth(1) == Some("recode");
            if !codes && !above.next().is_some_and(|name| NAMED_FREELY.contains(&name)) {
                found.push(at.to_owned());
            }
            for (name, inner) in map {
                tables_in(inner, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(list) => {
            for (i, inner) in list.iter().enumerate() {
                tables_in(inner, &format!("{at}/{i}"), found);
            }
        }
        _ => {}
    }
}

/// What is wrong with a file, in words.
fn told<T, E: ToString>(result: Result<T, E>) -> String {
    result.err().map_or_else(String::new, |error| error.to_string())
}

/// Every table of a file with one field more, a known field's name misspelt: the fault names it and the known field. `check` tells the
/// faults of a file.
fn misspelt_everywhere(whole: &Value, check: &dyn Fn(&str) -> String) -> Vec<String> {
    let text = |value: &Value| toml::to_string(&toml::Value::try_from(value).unwrap()).unwrap();
    assert_eq!(check(&text(whole)), "");
    let mut tables = Vec::new();
    tables_in(whole, "", &mut tables);
    let mut wrong = Vec::new();
    for at in &tables {
        let names = whole.pointer(at).unwrap().as_object().unwrap().keys().cloned();
        let known = names.max_by_key(String::len).unwrap();
        // Beside the known field, and in place of it.
        for replace in [false, true] {
            let mut spoilt = whole.clone();
            let table = spoilt.pointer_mut(at).unwrap().as_object_mut().unwrap();
            let value = table[&known].clone();
            if replace {
                table.remove(&known);
            }
            table.insert(format!("{known}q"), value);
            let told = check(&text(&spoilt));
            let good = told.contains(&format!("unknown field `{known}q`"))
                && told.contains(&format!("did you mean `{known}`?"))
                && !told.contains("not an allowed value");
            if !good {
                wrong.push(format!("{at}/{known}q: {told}"));
            }
        }
    }
    wrong
}

/// Also where a table may have one of several forms, as the columns of a mapping, or a derivation.
#[test]
fn an_unknown_field_of_any_table_is_named_with_the_nearest_known_one() {
    let of_analysis = |text: &str| told(Plan::check("a.toml", text, study()));
    let mut wrong = Vec::new();
    // Models, whose tables have their own forms.
    for model in MODELS {
        let kind = model.card().kind;
        let mut whole: Value = toml::from_str(HEAD).unwrap();
        let options: Value = toml::from_str(&more_of(kind)).unwrap();
        let mut models = vec![options];
        if kind == "meta_analysis" {
            models.insert(0, toml::from_str(find("cox").unwrap().card().example).unwrap());
        }
        whole["model"] = models.into();
        wrong.extend(misspelt_everywhere(&whole, &of_analysis));
    }
    // The rest of an analysis.
    let cox = find("cox").unwrap().card().example;
    let whole = format!(
        "{HEAD}window = {{ date = \"incidence_date\", from = \"1980-01-01\", to = \"1989-12-31\" }}\n\
         [population]\nages = {{ from = 1, to = 9 }}\n[pooling]\nconfidence_level = 0.9\n[[model]]\n{cox}\
         [report]\nanswer = {{ model = \"cox\", term = \"stage=3\" }}\n\
         [[report.comparison]]\ntitle = \"T\"\nestimates = [{{ model = \"cox\", term = \"stage=3\", label = \"L\" }}]\n"
    );
    wrong.extend(misspelt_everywhere(&toml::from_str(&whole).unwrap(), &of_analysis));
    let whole = fs::read_to_string(path("analyses/wilms/study.toml")).unwrap();
    let of_study = |text: &str| told(tributary::spec::Study::parse("study.toml", text));
    wrong.extend(misspelt_everywhere(&toml::from_str(&whole).unwrap(), &of_study));
    // What a site writes.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mapping.toml");
    let dictionary = study().dictionary;
    let of_mapping = |text: &str| {
        fs::write(&file, text).unwrap();
        told(tributary::site::Mapping::open(&file, &dictionary))
    };
    for site in ["XA", "XB", "XC", "XD", "XE"] {
        let whole = path("analyses/wilms/sites").join(site).join("mapping.toml");
        let mut whole: Value = toml::from_str(&fs::read_to_string(whole).unwrap()).unwrap();
        whole["columns"]["tumour_id"] = serde_json::json!({ "join": ["a", "b"], "with": "-" });
        wrong.extend(misspelt_everywhere(&whole, &of_mapping));
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n\n"));
    // Fields that every model has beside its options.
    for (from, to, wanted) in [
        ("id = \"cox\"", "id = \"cox\"\ntitel = \"T\"", "did you mean `title`?"),
        ("id = \"cox\"", "id = \"cox\"\ntitle = 5", "found 5, expected text in quotes"),
        ("kind = \"cox\"", "", "a model needs `id` and `kind`"),
    ] {
        let found = of_analysis(&format!("{HEAD}[[model]]\n{}", cox.replace(from, to)));
        assert!(found.contains(wanted), "{found}");
    }
}
