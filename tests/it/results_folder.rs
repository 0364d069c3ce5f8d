//! Results replace results, and nothing else.

use std::{fs, path::Path, process::Command};

const TRIALS: &str = "study,estimate,std_error\nA,0.5,0.3\nB,0.1,0.2\nC,0.9,0.4\n";

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("trials.csv"), TRIALS).unwrap();
        Self { folder }
    }

    /// Runs the program in `at` below this place, with the place as home: exit code and errors.
    fn run(&self, at: &str, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(arguments)
            .current_dir(self.folder.path().join(at))
            .env("HOME", self.folder.path().join("home"))
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn meta(&self, more: &[&str]) -> (i32, String) {
        self.run("", &[&["meta", "trials.csv", "--out"], more].concat())
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn holds(&self, name: &str) -> bool {
        self.folder.path().join(name).exists()
    }

    /// Names below a folder, without those that results always have.
    fn beside(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = fs::read_dir(self.folder.path().join(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        found.sort();
        found
    }
}

#[test]
fn a_second_run_replaces_results_and_refuses_where_somebody_has_written() {
    let place = Place::new();
    assert_eq!(place.meta(&["out"]).0, 0);
    let first = place.read("out/results.json");
    place.write("trials.csv", &TRIALS.replace("0.9", "1.9"));
    assert_eq!(place.meta(&["out"]).0, 0);
    assert_ne!(place.read("out/results.json"), first);
    let second = place.read("out/results.json");

    place.write("out/notes/manuscript.md", "two years of work");
    let (code, told) = place.meta(&["out"]);
    assert_eq!(code, 2);
    assert!(told.contains("notes/manuscript.md") && told.contains("--force"), "{told}");
    assert_eq!(place.read("out/notes/manuscript.md"), "two years of work");
    assert_eq!(place.read("out/results.json"), second);

    place.write("trials.csv", TRIALS);
    let (code, told) = place.meta(&["out", "--force"]);
    assert_eq!(code, 0, "{told}");
    assert_eq!(place.read("out/notes/manuscript.md"), "two years of work");
    assert_eq!(place.read("out/results.json"), first);
    assert_eq!(place.beside(""), ["out", "trials.csv"], "nothing is left over");
}

#[test]
fn a_report_that_somebody_has_changed_is_kept() {
    let place = Place::new();
    place.meta(&["out"]);
    let own = place.read("out/report.html");
    place.write("out/report.html", "with my remarks");
    let (code, told) = place.meta(&["out"]);
    assert!(code == 2 && told.contains("report.html"), "{told}");
    let (code, told) = place.run("", &["report", "out/results.json", "--format", "html"]);
    assert!(code == 2 && told.contains("report.html"), "{told}");
    assert_eq!(place.read("out/report.html"), "with my remarks");
    for (round, kept) in ["kept", "kept-2"].iter().enumerate() {
        assert_eq!(place.meta(&["out", "--force"]).0, 0);
        assert_eq!(place.read("out/report.html"), own);
        assert_eq!(place.read("out/kept/report.html"), "with my remarks");
        assert!(place.holds(&format!("out/{kept}/report.html")));
        place.write("out/report.html", &format!("more remarks {round}"));
    }
}

#[test]
fn a_report_rendered_again_is_one_of_the_results() {
    let place = Place::new();
    place.meta(&["out"]);
    // As a later version of the program would render it: the results have another title.
    let results = place.read("out/results.json").replace("\"title\": \"", "\"title\": \"Again: ");
    place.write("other/results.json", &results);
    let render = ["report", "other/results.json", "--format", "html", "--out", "out"];
    let (code, told) = place.run("", &render);
    assert_eq!(code, 0, "{told}");
    assert!(place.read("out/report.html").contains("Again: "));
    let (code, told) = place.meta(&["out"]);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn folders_that_hold_more_than_results_are_refused_even_by_force() {
    let place = Place::new();
    for folder in ["home", "work/deep"] {
        fs::create_dir_all(place.folder.path().join(folder)).unwrap();
    }
    fs::copy(place.folder.path().join("trials.csv"), place.folder.path().join("work/deep/t.csv"))
        .unwrap();
    let home = place.folder.path().join("home");
    for out in [".", "..", "../deep/.", "/", "../../work", home.to_str().unwrap()] {
        for force in [&[][..], &["--force"]] {
            let arguments = [&["meta", "t.csv", "--out", out], force].concat();
            let (code, told) = place.run("work/deep", &arguments);
            assert_eq!(code, 2, "{out}: {told}");
            assert!(told.contains("results need a folder of their own"), "{out}: {told}");
        }
    }
    assert_eq!(place.beside("work/deep"), ["t.csv"]);
    let (code, told) = place.meta(&["trials.csv"]);
    assert!(code == 2 && told.contains("trials.csv is a file"), "{told}");
    assert_eq!(place.read("trials.csv"), TRIALS);
    place.write("papers/draft.md", "a draft");
    let (code, told) = place.meta(&["papers"]);
    assert!(code == 2 && told.contains("draft.md"), "{told}");
    assert_eq!(place.beside("papers"), ["draft.md"]);
}

#[test]
fn a_manifest_of_somebody_else_gives_nothing_away_to_be_deleted() {
    let place = Place::new();
    place.write("out/report.html", "mine");
    place.write(
        "out/ro-crate-metadata.json",
        r#"{"@graph": [{"@id": "report.html", "sha256": "00"}, {"@id": "../trials.csv", "sha256": "00"}]}"#,
    );
    assert_eq!(place.meta(&["out"]).0, 2);
    assert_eq!(place.read("out/report.html"), "mine");
    assert!(place.holds("trials.csv"));
}

#[cfg(unix)]
#[test]
fn a_link_to_a_results_folder_stays_a_link() {
    let place = Place::new();
    let at = |name: &str| place.folder.path().join(name);
    fs::create_dir(at("disk")).unwrap();
    std::os::unix::fs::symlink(at("disk"), at("out")).unwrap();
    for _ in 0..2 {
        let (code, told) = place.meta(&["out"]);
        assert_eq!(code, 0, "{told}");
    }
    assert!(fs::symlink_metadata(at("out")).unwrap().is_symlink());
    assert!(Path::new(&at("disk/report.html")).is_file());
}
