//! What the files of registries hold: what is read, what is refused, and what is told about it.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use tempfile::TempDir;

/// A study of one site that asks for no protection.
pub(crate) struct Small {
    folder: TempDir,
}

pub(crate) const STUDY: &str = r#"
id = "small"
title = "Small"
source = "invented"
sites = ["S1"]
data = "public"
[policy]
min_cell = 0
complementary = false
min_persons = 0
min_events = 0
max_parameters_per_event = 10.0
max_rounds = 40
min_sites = 1
"#;

pub(crate) const SITE: &str = r#"
code = "S1"
name = "Invented registry"
country = "DE"
[tables.tumours]
path = "data.csv"
mapping = "mapping.toml"
"#;

/// Time, event and stage.
const SURVIVAL: &str = r#"
[dictionary.time]
type = "days"
label = "Time"
range = [0, 40000]
required = true
[dictionary.event]
type = "flag"
label = "Event"
required = true
[dictionary.stage]
type = "category"
label = "Stage"
levels = ["1", "2"]
"#;

const ANALYSIS: &str = r#"
id = "small-1"
title = "Small"
question = "How long?"
study = "small"
[followup]
time = "time"
event = "event"
zero = "as_is"
[[model]]
id = "km"
kind = "kaplan_meier"
times_years = [0.3]
"#;

impl Small {
    pub(crate) fn new(dictionary: &str, mapping: &str, data: &str) -> Self {
        let small = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(small.file("S1")).unwrap();
        small.write("study.toml", &format!("{STUDY}{dictionary}"));
        small.write("a.toml", ANALYSIS);
        small.write("S1/site.toml", SITE);
        small.write("S1/mapping.toml", mapping);
        small.write("S1/data.csv", data);
        small
    }

    fn survival(data: &str) -> Self {
        Self::new(
            SURVIVAL,
            "[columns]\ntime = \"time\"\nevent = \"event\"\nstage = \"stage\"\n",
            data,
        )
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).unwrap();
    }

    fn tributary(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    /// Exit code and all that is said.
    fn check(&self) -> (i32, String) {
        let output = self.tributary(&["site", "check", "S1"]);
        let said = [output.stdout, output.stderr].map(|s| String::from_utf8(s).unwrap()).concat();
        (output.status.code().unwrap(), said)
    }

    pub(crate) fn run(&self) -> (i32, String) {
        let output = self.tributary(&["run", "a.toml", "--site", "S1", "--out", "out"]);
        let said = [output.stdout, output.stderr].map(|s| String::from_utf8(s).unwrap()).concat();
        (output.status.code().unwrap(), said)
    }

    pub(crate) fn results(&self) -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(self.file("out/results.json")).unwrap()).unwrap()
    }

    /// `site check` ends with exit code `code` and says all of `words`; nothing said holds `secret`.
    pub(crate) fn says(&self, code: i32, words: &[&str], secret: &str) -> String {
        let (found, said) = self.check();
        assert_eq!(found, code, "{said}");
        for word in words {
            assert!(said.contains(word), "no `{word}` in:\n{said}");
        }
        assert!(secret.is_empty() || !said.contains(secret), "{said}");
        said
    }
}

/// Forty records with stage 1 and 2.
fn forty() -> Vec<String> {
    (0..40).map(|i| format!("{},{},{}", 10 + i, i % 2, 1 + i % 2)).collect()
}

fn with_header(records: &[String]) -> String {
    format!("time,event,stage\n{}\n", records.join("\n"))
}

#[test]
fn a_bad_code_in_an_optional_variable_costs_the_value_and_not_the_record() {
    let mut records = forty();
    for row in [3, 7, 11] {
        records[row] = format!("{},1,SECRET", 10 + row);
    }
    records[20] = "x,1,1".into();
    let small = Small::survival(&with_header(&records));
    let said = small.says(
        1,
        &[
            "records received  40\nrecords mapped    39",
            "3 × `stage` is not a code of the dictionary: the value is treated as unknown",
            "1 × `time` is not a number: the record is excluded",
            "line 5: `stage` is not a code",
            "line 22: `time` is not a number",
        ],
        "SECRET",
    );
    assert!(said.lines().any(|l| l.split_whitespace().take(2).eq(["stage", "36"])), "{said}");
    // One record is too many without the site's leave; three values are not.
    let (code, said) = small.run();
    assert!(code == 2 && said.contains("1 of 40 records cannot be mapped"), "{said}");
    assert!(!said.contains("`stage`"), "{said}");
    small.write("S1/site.toml", &SITE.replace("mapping =", "unmapped_limit = 1\nmapping ="));
    let (code, said) = small.run();
    assert_eq!(code, 0, "{said}");
    for words in [
        "site S1: 1 of 40 records could not be mapped and are excluded from all results",
        "site S1: 3 values of `stage` are treated as unknown: each is not a code of the dictionary",
    ] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_variable_that_is_wrong_in_most_records_is_one_fault_of_the_mapping() {
    let dictionary = "[dictionary.day]\ntype = \"date\"\nlabel = \"Day\"\nrequired = true\n[dictionary.end]\ntype = \"date\"\nlabel = \"End\"\n";
    let rows: Vec<String> = (1..=30).map(|d| format!("{d:02}.11.1987,{d:02}.12.1987")).collect();
    let data = format!("day,end\n{}\n", rows.join("\n"));
    let mapping = "[file]\ndate_format = \"%Y-%m-%d\"\n[columns]\nday = \"day\"\nend = \"end\"\n";
    let small = Small::new(dictionary, mapping, &data);
    let said = small.says(
        2,
        &["mapping.toml:2", "30 of 30 values of `day` (first: line 2)", "do not have the form"],
        "1987",
    );
    assert_eq!(said.matches("error").count(), 1, "{said}");
    small.write("S1/mapping.toml", &mapping.replace("%Y-%m-%d", "%d.%m.%Y"));
    small.says(0, &["records mapped    30"], "");

    let small =
        Small::survival(&with_header(&forty()).replace(",1\n", ",I\n").replace(",2\n", ",II\n"));
    small.says(
        2,
        &[
            "mapping.toml:4",
            "`stage` is not a code of the dictionary in 40 of 40",
            "[recode.stage]",
        ],
        "II",
    );
    small.write("S1/mapping.toml", "[columns]\ntime = \"time\"\nevent = \"event\"\nstage = \"stage\"\n[recode.stage]\nI = \"1\"\n_other = \"\"\n");
    small.says(0, &["records mapped    40"], "");
}

#[test]
fn lines_of_another_length_two_columns_of_one_name_and_swallowed_records_are_refused() {
    let mut records = forty();
    records[4] = "14,0".into();
    Small::survival(&with_header(&records)).says(
        2,
        &["line 6 has 2 fields, but the header has 3 columns"],
        "14",
    );
    records[4] = "14,0,1,SECRET".into();
    records[9] = "19,1".into();
    let words = ["line 6 has 4 fields", "1 more lines", "(11)"];
    Small::survival(&with_header(&records)).says(2, &words, "SECRET");
    let twice = with_header(&forty())
        .replace("stage\n", "stage,stage\n")
        .replace(",1\n", ",1,2\n")
        .replace(",2\n", ",2,1\n");
    Small::survival(&twice).says(2, &["columns 3 and 4 have the same name"], "");
    let mut records = forty();
    records[4].push_str(",\"Bob SECRET");
    records[20].push_str(",Eve\"");
    for (i, record) in records.iter_mut().enumerate().filter(|(i, _)| ![4, 20].contains(i)) {
        record.push_str(if i < 4 { ",5\" nail" } else { ",X" });
    }
    let data = with_header(&records).replace("stage\n", "stage,name\n");
    let words =
        ["line 6: a quoted field is closed on line 22", "looks like records", "quote = \"\""];
    let small = Small::survival(&data);
    small.says(2, &words, "SECRET");
    small.write(
        "S1/mapping.toml",
        "[file]\nquote = \"\"\n[columns]\ntime = \"time\"\nevent = \"event\"\nstage = \"stage\"\n",
    );
    small.says(0, &["records mapped    40"], "");
}

#[test]
fn ways_to_write_a_file_that_hide_nothing_are_read() {
    let plain = Small::survival(&with_header(&forty())).says(0, &["records mapped    40"], "");
    let ended: String = with_header(&forty()).replace('\n', ",\n");
    assert_eq!(Small::survival(&ended).check(), (0, plain.clone()));
    assert_eq!(Small::survival(&with_header(&forty()).replace('\n', "\r")).check(), (0, plain));
    let blank = format!("{}\n\n,,\n", with_header(&forty()));
    Small::survival(&blank).says(0, &["records received  40", "blank lines       3"], "");
    let note = with_header(&forty())
        .replace("stage\n", "stage,note\n")
        .replace(",1\n", ",1,\"a\nb\"\n")
        .replace(",2\n", ",2,\n");
    let words = [
        "records mapped    40",
        "20 records have a field that spans several lines, the first on line 2",
    ];
    Small::survival(&note).says(0, &words, "");
}

#[test]
fn a_file_without_a_header_does_not_show_its_first_record() {
    let records = forty().join("\n").replace(",0,", ",SECRET,");
    let small = Small::survival(&records);
    small.says(
        2,
        &[
            "data.csv has 0 of the 3 columns",
            "`event`, `stage`, `time`",
            "the first line must name the columns",
        ],
        "SECRET",
    );
    small.says(2, &[], "known:");
    let other = with_header(&forty()).replace(',', ";");
    Small::survival(&other).says(2, &["holds \";\"; write delimiter = \";\""], "");
    // A name is only likely if most of its letters are there.
    let far = with_header(&forty()).replace("stage", "s");
    Small::survival(&far).says(2, &["has no column `stage`", "known: event, s, time"], "did you");
    // Of a file with a header, the likely name is shown.
    let near = with_header(&forty()).replace("stage", "stagf");
    Small::survival(&near).says(2, &["has no column `stage`", "did you mean `stagf`?"], "");
}

#[test]
fn the_quality_report_lists_a_hundred_of_each_kind_and_counts_the_rest() {
    let dictionary = format!(
        "{SURVIVAL}[dictionary.birth]\ntype = \"date\"\nlabel = \"Birth\"\n[dictionary.day]\ntype = \"date\"\nlabel = \"Day\"\n\
         [dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\nrange = [0, 120]\nrequired = true\nderive = {{ completed_years = [\"birth\", \"day\"] }}\n"
    );
    let mapping = "[columns]\ntime = \"time\"\nevent = \"event\"\nstage = \"stage\"\nbirth = \"birth\"\nday = \"day\"\n";
    let rows: Vec<String> = (0..1000)
        .map(|i| match i % 4 {
            0 => "10,1,9,1950-00-00,2000-01-01".to_owned(),
            1 => "10,1,1,1960-01-01,2000-01-01".to_owned(),
            2 => "10,1,1,,2000-01-01".to_owned(),
            _ => "10,1,1,1970-01-01,2000-01-01".to_owned(),
        })
        .collect();
    let data = format!("time,event,stage,birth,day\n{}\n", rows.join("\n"));
    let small = Small::new(&dictionary, mapping, &data);
    let said = small.says(
        1,
        &[
            "250 × `birth` is not a date",
            "250 × `stage` is not a code",
            "250 × `age` is missing, because `birth` or `day`, from which it is derived, is missing",
            "… and 150 more: `stage`",
            "records mapped    500",
        ],
        "",
    );
    // The age is not told again where the date of birth is.
    assert_eq!(said.matches("`age` is missing").count(), 102, "{said}");
    assert!(said.lines().count() < 330, "{}", said.lines().count());

    let given = format!("{mapping}age = \"age\"\n");
    let rows: Vec<String> = (0..300)
        .map(|i| format!("10,1,1,1960-01-01,2000-01-01,{}", if i % 2 == 0 { 40 } else { 41 }))
        .collect();
    let data = format!("time,event,stage,birth,day,age\n{}\n", rows.join("\n"));
    let small = Small::new(&dictionary, &given, &data);
    let words = [
        "`age` as recorded differs from the value derived from the dates in 150 records",
        "line 3: `age` differs from the value derived from the dates",
        "… and 50 more",
    ];
    small.says(1, &words, "");
}

#[test]
fn the_quality_report_covers_the_tables_beside_the_records() {
    let small = Small::survival(&with_header(&forty()));
    let site = format!(
        "{SITE}[tables.population]\npath = \"p.csv\"\n[tables.life_table]\npath = \"l.csv\"\n"
    );
    small.write("S1/site.toml", &site);
    small.write("S1/p.csv", "sex,year,age,population\n1,2000,0-49,5000\n2,2000,0-49,5500\n1,2000,50+,500\n2,2000,50+,1000\n");
    small.write("S1/l.csv", "sex,year,age,qx\n1,2000,0,0.02\n2,2000,0,0.01\n");
    small.says(
        0,
        &[
            "table `population`: by sex, 2000 to 2000, ages 0 and over, 12000 person-years",
            "table `life_table`: males and females, 2000 to 2000",
        ],
        "",
    );
    // Two faulty tables and faulty records: all are told.
    small.write("S1/p.csv", "SECRET,1960-02-03\n1,2\n");
    small.write("S1/l.csv", "sex,year,age,qx\n1,2000,0,x\n");
    small.write("S1/data.csv", "time,event,stage\n1,2\n");
    let words = [
        "p.csv: there is no column `year`",
        "does not look like a header",
        "l.csv: line 2",
        "data.csv: line 2 has 2 fields",
    ];
    small.says(2, &words, "SECRET");
}

/// Values as the report of `characteristics` would see them: through a table of the known ones.
const DOSE: &str = "[dictionary.dose]\ntype = \"real\"\nlabel = \"Dose\"\nrange = [0, 100000]\n[dictionary.days]\ntype = \"days\"\nlabel = \"Days\"\n";

#[test]
fn a_point_under_a_decimal_comma_is_no_decimal_point() {
    let mapping =
        "[file]\ndelimiter = \";\"\ndecimal = \",\"\n[columns]\ndose = \"dose\"\ndays = \"days\"\n";
    let small = Small::new(DOSE, mapping, "dose;days\n1,5;10\n1.234;20\n2,5;30\n");
    small.says(2, &["mapping.toml:3", "line 3", "thousands = \".\""], "1.234");
    small.write("S1/mapping.toml", &mapping.replace("decimal =", "thousands = \".\"\ndecimal ="));
    small.says(0, &["records mapped    3"], "");
    small.write("S1/data.csv", "dose;days\n1.234,5;1.000\n12.34;20\n1.2345;20\n2,5;30\n");
    small.says(1, &["2 × `dose` is not a number", "line 3", "line 4"], "");
    for (from, to, words) in [
        ("decimal = \",\"", "decimal = \";\"", "the decimal sign must be"),
        ("decimal = \",\"", "thousands = \",\"\ndecimal = \",\"", "thousands separator"),
        ("decimal = \",\"", "quote = \"''\"", "quotation mark must be one character"),
    ] {
        small.write("S1/mapping.toml", &mapping.replace(from, to));
        small.says(2, &[words], "");
    }
    let english = "[file]\nthousands = \",\"\ndelimiter = \";\"\n[columns]\ndose = \"dose\"\ndays = \"days\"\n";
    Small::new(DOSE, english, "dose;days\n1,234.5;10\n").says(0, &["records mapped    1"], "");
}

#[test]
fn days_beyond_all_measure_are_faults_and_lines_are_counted_through_quoted_breaks() {
    let mapping = "[file]\ndelimiter = \";\"\n[columns]\ndose = \"dose\"\ndays = \"days\"\n";
    let data = "dose;days\n1;99999999999\n2;30\n\"3\n\";40\nx;50\n1;-2000000\n";
    let words = [
        "line 2: `days` exceeds one million days",
        "line 6: `dose` is not a number",
        "line 7: `days` exceeds one million days",
        "the first on line 4",
    ];
    Small::new(DOSE, mapping, data).says(1, &words, "");
}

/// Twenty patients whose months were computed from whole days / 30.5. By hand: of the twenty, deaths on days 5, 11, 53, one leaves on
/// day 61, deaths on days 88, 92, 105, one leaves on day 107, the next death is on day 110. At 0.3 years, day 109.575,
/// S = 17/20 × 13/16 = 0.690625.
#[test]
fn rounding_down_does_not_lose_a_day_to_floating_point() {
    let days = [
        5, 11, 53, 61, 88, 92, 105, 107, 110, 116, 118, 122, 166, 170, 173, 183, 199, 201, 202, 223,
    ];
    let alive = [61, 107, 118];
    let rows: Vec<String> = days
        .iter()
        .map(|d| format!("{:.15},{},1", f64::from(*d) / 30.5, i32::from(!alive.contains(d))))
        .collect();
    let mapping = "[columns]\ntime = { from = \"time\", multiply = 30.5, round = \"down\" }\nevent = \"event\"\nstage = \"stage\"\n";
    let small = Small::new(SURVIVAL, mapping, &with_header(&rows));
    for round in ["down", "nearest"] {
        small.write("S1/mapping.toml", &mapping.replace("down", round));
        let (code, said) = small.run();
        assert_eq!(code, 0, "{said}");
        let results = small.results().to_string();
        assert!(results.contains("0.690625"), "{results}");
    }
    // Without rounding, noise in the fourteenth digit is no fraction; half a day is.
    small.write("S1/mapping.toml", &mapping.replace(", round = \"down\"", ""));
    small.says(0, &["records mapped    20"], "");
    let data = fs::read_to_string(small.file("S1/data.csv")).unwrap();
    small.write("S1/data.csv", &format!("{data}{},1,1\n", 5.5 / 30.5));
    small.says(1, &["line 22: `time` is not a whole number"], "");
}

#[test]
fn steps_that_would_make_all_values_equal_or_unknown_are_refused() {
    let mapping = "[columns]\ntime = STEPS\nevent = \"event\"\nstage = \"stage\"\n";
    for (steps, word) in [
        ("{ from = \"time\", multiply = 0 }", "found 0, expected a number other than 0"),
        ("{ from = \"time\", divide = 0.0 }", "found 0, expected a number other than 0"),
        ("{ join = [], with = \"-\" }", "expected at least 1 value"),
        // The fault is at the wrong step, not at the fields that are right.
        ("{ from = \"time\", round = 400 }", "found 400, which is not an allowed value"),
    ] {
        let small = Small::new(SURVIVAL, &mapping.replace("STEPS", steps), &with_header(&forty()));
        let said = small.says(2, &[word, "mapping.toml:2:"], "");
        assert_eq!(said.matches("error").count(), 1, "{said}");
    }
}

#[test]
fn a_range_of_time_that_is_too_long_for_a_grid_is_named_as_the_cause() {
    let wide = SURVIVAL.replace("range = [0, 40000]", "range = [0, 99999]");
    assert_ne!(wide, SURVIVAL);
    let small = Small::survival(&with_header(&forty()));
    let study = fs::read_to_string(small.file("study.toml")).unwrap();
    small.write("study.toml", &study.replace(SURVIVAL, &wide));
    let (code, said) = small.run();
    assert_eq!(code, 2, "{said}");
    for word in ["range of the time variable", "99999 days", "write horizon_days here"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn dates_in_the_future_and_years_of_two_digits_are_told() {
    let dictionary = "[dictionary.day]\ntype = \"date\"\nlabel = \"Day\"\nrequired = true\n";
    let mapping = "[columns]\nday = \"day\"\n";
    let good: Vec<String> = (1..=20).map(|d| format!("1999-11-{d:02}")).collect();
    let data = format!(
        "day\n{}\n2099-01-01\n2111-01-01\n99-01-01\n0099-01-01\n9999-12-31\n",
        good.join("\n")
    );
    Small::new(dictionary, mapping, &data).says(
        1,
        &[
            "3 × `day` is in the future",
            "2 × `day` has a year before 1800",
            "line 22: ",
            "line 23: ",
            "line 26: ",
        ],
        "",
    );
    let two = format!(
        "day\n{}\n01.02.24\n",
        good.iter()
            .map(|d| format!("{}.11.{}", &d[8..], 50 + d.len()))
            .collect::<Vec<_>>()
            .join("\n")
    );
    let mapping = "[file]\ndate_format = \"%d.%m.%y\"\n[columns]\nday = \"day\"\n";
    let small = Small::new(dictionary, mapping, &two);
    small.says(2, &["mapping.toml:2", "two_digit_years_from = 1925"], "");
    small.write(
        "S1/mapping.toml",
        &mapping.replace("[columns]", "two_digit_years_from = 1925\n[columns]"),
    );
    small.says(0, &["records mapped    21"], "");
    // From 1931 on, 24 is 2024 and 60 is 1960; from 1961 on, 60 is 2060.
    small.write(
        "S1/mapping.toml",
        &mapping.replace("[columns]", "two_digit_years_from = 1961\n[columns]"),
    );
    small.says(2, &["`day` is in the future in 20 of 21"], "");
}

/// Told when the mapping is read, whether or not it has dates. Times of day may stand beside a date.
#[test]
fn a_form_of_dates_must_be_one() {
    let mapping = |form: &str| {
        format!(
            "[file]\ndate_format = \"{form}\"\n[columns]\ntime = \"time\"\nevent = \"event\"\nstage = \"stage\"\n"
        )
    };
    let small = Small::survival(&with_header(&forty()));
    for form in ["%Q", "%d.%m", "dd.mm.yyyy", "", "%"] {
        small.write("S1/mapping.toml", &mapping(form));
        small.says(2, &["mapping.toml:2", "not a form from which a date can be read"], "century");
    }
    for form in ["%d.%m.%Y", "%Y%m%d", "%d%b%Y", "%Y-%m-%d %H:%M:%S", "%Y/%j"] {
        small.write("S1/mapping.toml", &mapping(form));
        small.says(0, &["records mapped    40"], "");
    }
}

#[test]
fn a_population_that_lacks_lines_of_its_own_ranges_is_told() {
    let small = Small::survival(&with_header(&forty()));
    let site = format!("{SITE}[tables.population]\npath = \"population.csv\"\n");
    small.write("S1/site.toml", &site);
    let line = |i: i32| format!("{},{},{},1000\n", 1 + i % 2, 2010 + i / 2 % 10, i / 20);
    let whole: String = (0..400).map(line).collect();
    let table = |lines: &str| format!("sex,year,age,person_years\n{lines}");
    small.write("S1/population.csv", &table(&whole));
    small.says(0, &["by sex, 2010 to 2019, ages 0 and below 20"], "missing:");
    let less = whole.replacen("1,2012,7,1000\n", "", 1);
    assert_ne!(less, whole);
    small.write("S1/population.csv", &table(&less));
    small.says(1, &["by sex, 2010 to 2019", "  missing: males 2012, ages 7\n"], "more");
    small.write("S1/population.csv", &table(&whole).replace(',', ";"));
    small.says(2, &["population.csv", "but holds \";\"; write delimiter = \";\""], "");
}
