//! Rules on few persons hold for persons, however many records each has; models follow each person once.

use crate::files::{STUDY, Small};

const DICTIONARY: &str = r#"
[dictionary.patient]
type = "text"
label = "Patient"
identifier = true
[dictionary.tumour]
type = "integer"
label = "Tumour of the patient"
[dictionary.sex]
type = "category"
label = "Sex"
levels = ["1", "2"]
[dictionary.entry]
type = "days"
label = "Entry"
range = [0, 4000]
[dictionary.time]
type = "days"
label = "Time"
range = [0, 4000]
required = true
[dictionary.event]
type = "flag"
label = "Event"
required = true
[dictionary.outcome]
type = "category"
label = "Outcome"
levels = ["0", "1"]
"#;

const HEAD: &str = r#"
id = "small-1"
title = "Small"
question = "How long?"
study = "small"
"#;

const FOLLOWUP: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\n";

const COLUMNS: [&str; 7] = ["patient", "tumour", "sex", "entry", "time", "event", "outcome"];

/// `patients` with `records` each; the k-th record of a patient is followed from day 1000 (k - 1) to 1000 k - 1 at most.
fn records(patients: usize, records: usize) -> String {
    let mut text = COLUMNS.join(",") + "\n";
    for p in 0..patients {
        for k in 0..records {
            let (sex, event) = (1 + p % 2, usize::from(p % 3 == 0 && k + 1 == records));
            let (entry, time) = (1000 * k, 1000 * k + 500 + p);
            text += &format!("P{p},{},{sex},{entry},{time},{event},{event}\n", k + 1);
        }
    }
    text
}

fn small(policy: &str, data: &str, rest: &str) -> Small {
    let mapping: Vec<String> = COLUMNS.iter().map(|c| format!("{c} = \"{c}\"\n")).collect();
    let small = Small::new(DICTIONARY, &format!("[columns]\n{}", mapping.concat()), data);
    let rule = policy.split(" =").next().unwrap_or_default();
    let kept: Vec<&str> =
        STUDY.lines().filter(|line| rule.is_empty() || !line.starts_with(rule)).collect();
    small.write("study.toml", &format!("{}\n{policy}\n{DICTIONARY}", kept.join("\n")));
    small.write("a.toml", &format!("{HEAD}{rest}"));
    small
}

fn held_back(small: &Small, model: &str) -> Option<String> {
    let (code, said) = small.run();
    assert!(code < 2, "{said}");
    let line = said.lines().find(|l| l.contains("is based on") && l.contains(model));
    line.map(str::to_owned)
}

#[test]
fn a_floor_on_persons_is_not_passed_by_more_records_of_the_same_persons() {
    let followup = FOLLOWUP.to_owned() + "entry = \"entry\"\n";
    let curve = "[[model]]\nid = \"m\"\nkind = \"kaplan_meier\"\ntimes_years = [1]\n";
    let sites = "[[model]]\nid = \"c\"\nkind = \"cox\"\ncovariates = [\"sex\"]\n[[model]]\nid = \"m\"\nkind = \"meta_analysis\"\nof = \"c\"\nterm = \"sex=2\"\n";
    for (policy, model) in [("min_persons_in_sum = 30", curve), ("min_persons = 30", sites)] {
        let rest = format!("{followup}{model}");
        let held =
            |patients, each| held_back(&small(policy, &records(patients, each), &rest), "`m`");
        for each in [1, 2, 3] {
            let said = held(20, each).unwrap_or_else(|| panic!("{policy}: {each} records pass"));
            assert!(said.contains("is based on 20 persons"), "{said}");
        }
        assert_eq!(held(30, 1), None);
        assert_eq!(held(30, 2), None);
    }
}

/// A cell of eight records may be of four patients.
#[test]
fn a_floor_on_cells_counts_the_fewest_persons_that_the_records_can_be_of() {
    let model = "[[model]]\nid = \"table\"\nkind = \"characteristics\"\nvariables = [\"sex\"]\nby = \"site\"\n";
    let few = |women: usize, each: usize| -> bool {
        let text = records(40, each);
        let text: String = text
            .lines()
            .map(|line| {
                let mut fields: Vec<&str> = line.split(',').collect();
                let number = fields[0][1..].parse::<usize>();
                if let Ok(n) = number {
                    fields[2] = if n < women { "2" } else { "1" };
                }
                fields.join(",") + "\n"
            })
            .collect();
        let small = small("min_cell = 5", &text, model);
        let (code, said) = small.run();
        assert!(code < 2, "{said}");
        let results = small.results();
        let models = results["models"].as_array().unwrap();
        let table = models.iter().find(|m| m["id"] == "table").unwrap();
        !table["withheld"].as_array().unwrap().is_empty()
    };
    assert!(few(4, 1), "four women");
    assert!(few(4, 2), "eight records of four women");
    assert!(!few(5, 2), "ten records of five women");
}

#[test]
fn a_model_that_follows_persons_once_refuses_two_records_of_one() {
    let models = [
        "kind = \"kaplan_meier\"\ntimes_years = [1]\n",
        "kind = \"cox\"\ncovariates = [\"sex\"]\n",
        "kind = \"log_rank\"\nby = \"sex\"\n",
        "kind = \"parametric\"\ndistribution = \"weibull\"\ncovariates = [\"sex\"]\n",
        "kind = \"poisson\"\ncovariates = [\"sex\"]\nbands_years = [1]\n",
    ];
    for model in models {
        let rest = format!("{FOLLOWUP}[[model]]\nid = \"m\"\n{model}");
        let (code, said) = small("", &records(30, 2), &rest).run();
        assert_eq!(code, 2, "{model}: {said}");
        assert!(said.contains("some persons have several records"), "{model}: {said}");
        let first = format!("[population]\nwhere = \"tumour = 1\"\n{rest}");
        let (code, said) = small("", &records(30, 2), &first).run();
        assert!(code < 2, "{model}: {said}");
    }
}

#[test]
fn stretches_of_one_person_that_follow_each_other_are_one_follow_up() {
    let rest = "[followup]\ntime = \"time\"\nevent = \"event\"\nentry = \"entry\"\n[[model]]\nid = \"m\"\nkind = \"kaplan_meier\"\ntimes_years = [1]\n";
    let (code, said) = small("", &records(30, 2), rest).run();
    assert!(code < 2, "{said}");
    let overlapping = records(30, 2).replace(",1000,", ",400,");
    let (code, said) = small("", &overlapping, rest).run();
    assert_eq!(code, 2, "{said}");
}

#[test]
fn models_of_several_records_take_them() {
    let rest = "[[model]]\nid = \"m\"\nkind = \"mean_cumulative_count\"\nrecurrent = [\"1\"]\ntimes_years = [1]\n[model.followup]\ntime = \"time\"\nevent = \"outcome\"\nentry = \"entry\"\n";
    let (code, said) = small("", &records(30, 2), rest).run();
    assert!(code < 2, "{said}");
}

#[test]
fn a_patient_of_two_sexes_is_told_with_the_line() {
    let text = records(30, 2).replacen("P3,2,2,", "P3,2,1,", 1);
    let small = small("", &text, "");
    small.says(
        1,
        &[
            "patients          30",
            "`sex` differs between records of one patient, 1 times",
            "line 9:",
        ],
        "P3",
    );
}

#[test]
fn a_dictionary_of_two_identifiers_says_which_names_the_patient() {
    let two = "[dictionary.number]\ntype = \"integer\"\nlabel = \"Number\"\nidentifier = true\n";
    let small = small("", &records(30, 1), "[[model]]\nid = \"who\"\nkind = \"participation\"\n");
    let study = std::fs::read_to_string(small.file("study.toml")).unwrap();
    small.write("study.toml", &format!("{study}{two}"));
    let (code, said) = small.run();
    assert_eq!(code, 2);
    assert!(said.contains("number and patient are identifiers"), "{said}");
    assert!(said.contains("patient = true") && said.contains("[dictionary.number]"), "{said}");
    small.write(
        "study.toml",
        &study.replace("identifier = true", "identifier = true\npatient = true"),
    );
    assert!(small.run().0 < 2);
}
