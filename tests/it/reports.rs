//! Every status, notice and choice has its words: reports of what goes wrong render as well as those of what goes right.

use tributary::{
    report::{Block, Report},
    results::Results,
    run::Run,
    summary::{Policy, SiteId},
};

use crate::{
    pooling::{Frame, plan, run},
    survival_oracles::lung,
};

const DICTIONARY: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1000]\nunit = \"days\"\nclass_width = 10\n\
    [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
    [dictionary.x]\ntype = \"real\"\nlabel = \"x\"\n\
    [dictionary.group]\ntype = \"flag\"\nlabel = \"Group\"\nlevel_labels = [\"none\", \"some\"]\n";

fn pooled(frame: &Frame, models: &str, sites: usize, policy: &Policy) -> (Results, Run) {
    let plan = plan(&frame.study, models);
    let parts = frame.deal(sites);
    let code = |i: usize| SiteId::new(&format!("S{i}")).unwrap();
    let sites: Vec<_> =
        parts.iter().enumerate().map(|(i, rows)| (code(i), frame.site(rows))).collect();
    let (run, _) = run(&plan, &sites, policy);
    (Results::of(&plan, &run, jiff::civil::date(2026, 1, 31)), run)
}

fn text(results: &Results) -> String {
    let report = Report::compose(results).unwrap();
    let html = report.html().unwrap();
    for unfinished in ["NaN", "inf<", "{{"] {
        assert!(!html.contains(unfinished), "{unfinished}");
    }
    html
}

/// All choices of all options, on data where everything is fine.
#[test]
fn every_choice_has_its_words() {
    let lung = lung();
    let mut models = String::new();
    let mut add = |kind: &str, options: String| {
        let id = models.matches("[[model]]").count();
        models += &format!("[[model]]\nid = \"m{id}\"\nkind = \"{kind}\"\n{options}\n");
    };
    for zero in ["half_day", "exclude", "as_is"] {
        let followup =
            format!("followup = {{ time = \"time\", event = \"event\", zero = \"{zero}\" }}");
        for interval in ["log-log", "log", "plain"] {
            add(
                "kaplan_meier",
                format!(
                    "{followup}\ninterval = \"{interval}\"\nby = \"sex\"\ntimes_years = [1, 2.5]\nquantiles = [0.25, 0.5]\nrestricted_mean_years = 2"
                ),
            );
        }
        add("log_rank", format!("{followup}\nby = \"sex\"\nrho = 1"));
    }
    add("log_rank", "by = \"sex\"\nstratify_by_site = false".into());
    add("kaplan_meier", "grid_days = 30.4375".into());
    for transform in ["km", "log", "identity", "none"] {
        add(
            "cox",
            format!(
                "covariates = [\"age\"]\nproportional_hazards = \"{transform}\"\nstrata = [\"sex\"]\nties = \"breslow\""
            ),
        );
    }
    add("cox", "covariates = [\"age\", \"sex\"]\nbaseline = \"common\"".into());
    add(
        "characteristics",
        "variables = [\"age\", \"sex\"]\nclasses = { age = { from = 30, to = 90, width = 5 } }"
            .into(),
    );
    add("agreement", "rating = \"sex\"\nreference = \"sex\"".into());
    let models = format!("[followup]\ntime = \"time\"\nevent = \"event\"\n{models}");
    let (results, _) = pooled(&lung, &models, 5, &lung.study.policy);
    let html = text(&results);
    for words in [
        "weighted log-rank, S(t−)^1",
        "cells of 30.4375 days, to day 1100",
        "one per site and level of sex",
        "score test, time transform 1 − S(t−)",
        "interpolated within classes",
    ] {
        assert!(html.contains(words), "{words}");
    }
}

/// No events, separation, collinearity, one site, refusals, everything hidden.
#[test]
fn what_goes_wrong_is_said_in_words() {
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
        [[model]]\nid = \"table\"\nkind = \"characteristics\"\nvariables = [\"time\", \"group\"]\nby = \"site\"\n\
        [[model]]\nid = \"agreement\"\nkind = \"agreement\"\nrating = \"group\"\nreference = \"event\"\nby = \"site\"\n\
        [[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\nby = \"group\"\ntimes_years = [0.05, 2]\nrestricted_mean_years = 1\n\
        [[model]]\nid = \"logrank\"\nkind = \"log_rank\"\nby = \"group\"\n\
        [[model]]\nid = \"cox\"\nkind = \"cox\"\ncovariates = [\"group\"]\n\
        [[model]]\nid = \"sites\"\nkind = \"meta_analysis\"\nof = \"cox\"\nterm = \"group=1\"\n\
        [report]\nanswer = { model = \"cox\", term = \"group=1\" }\nagreement_of_sites = \"sites\"\n\
        [[report.comparison]]\ntitle = \"Side by side\"\nestimates = [{ model = \"cox\", term = \"group=1\", label = \"one\" }]\n";
    let n = 8;
    let time: Vec<f64> = (1..=n).map(|i| f64::from(i) * 10.0).collect();
    let arm: Vec<f64> = (1..=n).map(|i| f64::from(u8::from(i <= 4))).collect();
    let separated: Vec<f64> = (1..=n).map(|i| f64::from(u8::from(i <= 3))).collect();
    let few = vec![0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    for (event, words) in [
        (
            vec![0.0; 8],
            vec!["Nobody had the event", "There is no estimate to answer with: no events."],
        ),
        (separated, vec!["The likelihood has no finite maximum", "no finite maximum"]),
        (few, vec!["Time by which survival has fallen", "not reached"]),
    ] {
        let columns =
            [("time", time.clone()), ("event", event), ("x", arm.clone()), ("group", arm.clone())];
        let frame = Frame::of(&columns, DICTIONARY);
        for (sites, policy) in [
            (1, frame.study.policy.clone()),
            (2, Policy { min_cell: 50, ..frame.study.policy.clone() }),
            (2, Policy { min_events: 99, min_persons_in_sum: 99, ..frame.study.policy.clone() }),
        ] {
            let (results, _) = pooled(&frame, models, sites, &policy);
            let html = text(&results);
            if policy.min_persons_in_sum == 0 {
                words.iter().for_each(|w| assert!(html.contains(w), "{w}"));
            } else {
                assert!(html.contains("There is no result") && html.contains("the whole answer"));
            }
        }
    }
}

/// A figure for every curve and forest, and each of them says in words what it shows.
#[test]
fn figures_have_texts_and_tables_have_as_many_cells_as_heads() {
    let lung = lung();
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
        [[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\nby = \"sex\"\ntimes_years = [1]\n\
        [[model]]\nid = \"cox\"\nkind = \"cox\"\ncovariates = [\"sex\"]\n\
        [[model]]\nid = \"sites\"\nkind = \"meta_analysis\"\nof = \"cox\"\nterm = \"sex=2\"\n";
    let (results, _) = pooled(&lung, models, 5, &lung.study.policy);
    let report = Report::compose(&results).unwrap();
    assert_eq!(report.figures().len(), 4);
    for section in &report.document().sections {
        for block in &section.blocks {
            match block {
                Block::Figure { alt, caption, .. } => assert!(alt.len() > 20 && caption.len() > 10),
                Block::Table(table) => {
                    for row in &table.rows {
                        assert!(
                            row.style == "group" || row.cells.len() == table.head.len(),
                            "{}: {:?}",
                            table.caption,
                            row.cells
                        );
                    }
                }
                Block::Paragraph { .. }
                | Block::Note { .. }
                | Block::Warning { .. }
                | Block::Facts { .. } => {}
            }
        }
    }
}
