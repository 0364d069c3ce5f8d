//! A reader of a report meets the dictionary's labels, not the names that files and models use.

use tributary::{
    estimate::Value,
    report::{Block, Report},
    results::Results,
    summary::SiteId,
};

use crate::{
    pooling::{Frame, plan, run},
    survival_oracles::lung,
};

/// Variables of the dictionary, terms of models and names of parameters that stand in a page as files spell them.
fn raw_names(results: &Results) -> Vec<String> {
    let mut raw: Vec<String> =
        ["gamma0", "gamma1", "log(site sd)", "(Intercept)", "of printed"].map(str::to_owned).into();
    let variables = results.dictionary.iter().map(|(name, _)| name);
    raw.extend(variables.filter(|name| name.contains('_')).map(str::to_owned));
    for model in &results.models {
        for table in model.estimate().iter().flat_map(|e| &e.tables) {
            let terms = ["term", "step"].iter().filter_map(|c| table.position(c));
            for at in terms.collect::<Vec<_>>() {
                let names = table.rows.iter().filter_map(|row| match &row[at] {
                    Value::Text(text) if text.contains(['=', '\'', '(']) => Some(text.clone()),
                    _ => None,
                });
                raw.extend(names);
            }
        }
    }
    raw
}

/// Every word of a report, with what belongs to machines left out: the digests of the answers.
fn words(results: &Results) -> String {
    let report = Report::compose(results).unwrap();
    let document = report.document();
    let mut all = vec![document.question.clone(), document.answer.join(" ")];
    for block in document.sections.iter().filter(|s| s.id != "provenance").flat_map(|s| &s.blocks) {
        match block {
            Block::Paragraph { text } | Block::Note { text } | Block::Warning { text } => {
                all.push(text.clone());
            }
            Block::Figure { caption, alt, .. } => all.extend([caption.clone(), alt.clone()]),
            Block::Table(table) => {
                all.push(table.caption.clone());
                all.extend(table.head.iter().cloned());
                all.extend(table.rows.iter().flat_map(|row| row.cells.iter().cloned()));
            }
            Block::Facts { lines, .. } => {
                all.extend(lines.iter().map(|(term, text)| format!("{term}: {text}")));
            }
        }
    }
    let drawn = report.figures().values().map(|drawing| drawing.svg.clone());
    all.extend(drawn);
    all.join("\n")
}

/// Nothing in the report of these results is a raw name.
pub(crate) fn are_a_readers_own(results: &Results) {
    let said = words(results);
    for raw in raw_names(results) {
        let line = said.lines().find(|line| line.contains(&raw));
        assert!(line.is_none(), "{raw} in {:.300}", line.unwrap_or_default());
    }
}

fn pooled(frame: &Frame, models: &str) -> Results {
    pooled_after(frame, models, &[])
}

/// Three sites, where these conditions have excluded five records each.
fn pooled_after(frame: &Frame, models: &str, excluded: &[&str]) -> Results {
    let plan = plan(&frame.study, models);
    let parts = frame.deal(3);
    let site = |(i, rows): (usize, &Vec<usize>)| {
        let mut data = frame.site(rows);
        data.flow.excluded = excluded.iter().map(|c| ((*c).to_owned(), 5)).collect();
        (SiteId::new(&format!("S{i}")).unwrap(), data)
    };
    let sites: Vec<_> = parts.iter().enumerate().map(site).collect();
    let (run, _) = run(&plan, &sites, &frame.study.policy);
    Results::of(&plan, &run, jiff::civil::date(2026, 1, 31))
}

const FOLLOWUP: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\n";

fn answer(model: &str, term: &str) -> String {
    let models = format!(
        "{FOLLOWUP}[[model]]\nid = \"m\"\n{model}\n[report]\nanswer = {{ model = \"m\", term = \"{term}\" }}\n"
    );
    Report::compose(&pooled(&lung(), &models)).unwrap().answer().join(" ")
}

#[test]
fn an_answer_names_what_its_ratio_is_a_ratio_of() {
    // Women live longer: a lower hazard, and a longer time.
    let hazard = answer("kind = \"cox\"\ncovariates = [\"sex\", \"age\"]", "sex=2");
    assert!(
        hazard.starts_with(
            "Sex (2 vs 1) was associated with a lower hazard of death: hazard ratio 0.62 (95% CI "
        ) && hazard.contains("adjusted for age, with 163 events in 226 patients"),
        "{hazard}"
    );
    let time = answer(
        "kind = \"parametric\"\ndistribution = \"weibull\"\ncovariates = [\"sex\"]",
        "sex=2",
    );
    assert!(
        time.starts_with("Sex (2 vs 1) was associated with a longer time to death: time ratio 1."),
        "{time}"
    );
    let quantity = answer("kind = \"cox\"\ncovariates = [\"age\"]\nconfidence_level = 0.9", "age");
    assert!(
        quantity.starts_with(
            "Age (per unit) was associated with a higher hazard of death: hazard ratio 1.02 (90% CI "
        ),
        "{quantity}"
    );
}

#[test]
fn a_condition_of_the_population_is_told_with_labels_for_variables_and_codes() {
    let mut frame = lung();
    frame.study.dictionary = toml::from_str(
        "[time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1100]\n\
         [event]\ntype = \"flag\"\nlabel = \"Vital status\"\n\
         [age]\ntype = \"real\"\nlabel = \"Age at diagnosis\"\n\
         [ecog]\ntype = \"real\"\nlabel = \"ECOG score\"\n\
         [sex]\ntype = \"category\"\nlabel = \"Sex\"\nlevels = [\"1\", \"2\"]\nlevel_labels = [\"male\", \"female\"]\n",
    )
    .unwrap();
    let models = format!(
        "{FOLLOWUP}[[model]]\nid = \"p\"\nkind = \"participation\"\n\
         [[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\nby = \"sex\"\n"
    );
    let excluded = [
        "age BETWEEN 40 AND 80",
        "sex IN ('1', '2')",
        "NOT (sex = '2' AND age >= 75)",
        "ecog IS NOT NULL",
    ];
    let results = pooled_after(&frame, &models, &excluded);
    are_a_readers_own(&results);
    let said = words(&results);
    for wanted in [
        "did not meet: Age at diagnosis is between 40 and 80",
        "did not meet: Sex is one of (male, female)",
        "did not meet: not (Sex = female and Age at diagnosis ≥ 75)",
        "did not meet: ECOG score is known",
        // An event that is a death makes survival, not "survival free of vital status".
        "Kaplan–Meier curves of survival by sex",
    ] {
        assert!(said.contains(wanted), "{wanted}");
    }
}

#[test]
fn terms_of_every_regression_have_names_that_a_reader_knows() {
    let lung = crate::sealed::with_everything();
    let regressions = "[[model]]\nid = \"a\"\nkind = \"royston_parmar\"\ncovariates = [\"sex\"]\ntime_varying = [\"sex\"]\ntimes_years = [1]\n\
        [[model]]\nid = \"b\"\nkind = \"parametric\"\ndistribution = \"weibull\"\ncovariates = [\"sex\"]\n\
        [[model]]\nid = \"c\"\nkind = \"cure\"\ncovariates = [\"sex\"]\nwithout_gate = true\n\
        [[model]]\nid = \"d\"\nkind = \"cox\"\ncovariates = [\"sex\", \"age\"]\ninteractions = [[\"sex\", \"age\"]]\ntime_varying = [\"sex\"]\ntime_bands_years = [1]\nsplines = { age = [50, 60, 70] }\n\
        [[model]]\nid = \"e\"\nkind = \"excess_hazard\"\nspline_years = [0.1, 1, 3]\ncovariates = [\"sex\"]\ntime_varying = [\"sex\"]\nbackground = { sex = \"sex\", age = \"age\", date = \"date\" }\n";
    let results = pooled(&lung, &format!("{FOLLOWUP}{regressions}"));
    are_a_readers_own(&results);
    let said = words(&results);
    for wanted in [
        "Baseline log cumulative hazard, spline term 1",
        "Sex: 2 × log time",
        "Sex: 2 × Age",
        "Follow-up: from 1 years × Sex: 2",
        "Survival of the uncured, log scale",
        "Age, spline term 2",
    ] {
        assert!(said.contains(wanted), "{wanted}");
    }
}
