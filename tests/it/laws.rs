//! Laws over the registry: what holds for every model, also for the next one.

use std::sync::Arc;

use tributary::{
    cohort::{ColumnNeed, PersonYears, PopulationCell, SiteData, SiteTables},
    estimate::Value,
    models::MODELS,
    plan::Plan,
    run::{Event, Outcome, Run},
    spec::{AnalysisSpec, Source},
    stats::life_table::LifeTable,
    summary::{Policy, SiteId},
};

use crate::{
    pooling::{estimates, plan, run, untrue_columns},
    wilms::{SITES, registry, study},
};

const FOLLOWUP: &str = "[followup]\ntime = \"followup_days\"\nevent = \"relapse\"\n";

/// Examples of all cards as one analysis over the Wilms study.
fn examples(policy: &Policy) -> Plan {
    let tables: Vec<String> =
        MODELS.iter().map(|m| format!("[[model]]\n{}", m.card().example)).collect();
    let mut study = study();
    study.policy = policy.clone();
    plan(&study, &format!("{FOLLOWUP}{}", tables.join("\n")))
}

fn open() -> Policy {
    Policy { min_sites: 1, ..Policy::open() }
}

fn data(plan: &Plan, code: &str) -> SiteData {
    let found = |kind: &str| tributary::models::find(kind).unwrap();
    let needs: Vec<ColumnNeed> =
        plan.spec.models.iter().flat_map(|m| found(&m.kind).needs(&m.options).unwrap()).collect();
    let mut data = registry(&plan.study, code).cohort(&plan.conditions, &needs).unwrap();
    data.tables = flat_tables();
    data
}

/// Studies of the tests have no life tables; models that want one are given a flat one.
pub fn flat_tables() -> SiteTables {
    let flat = |rate: f64| {
        let (starts, end, ages) = (vec![0], 40_000, vec![0.0]);
        Some(Arc::new(LifeTable { starts, end, ages, hazard: vec![rate; 3], is_yearly: true }))
    };
    SiteTables {
        life_table: flat(1e-6),
        rates: flat(1e-5),
        population: Some(Arc::new(flat_population())),
        ..SiteTables::default()
    }
}

/// A thousand person-years at each age below 100, of either sex, in every year from 1900 to 2030.
fn flat_population() -> PersonYears {
    let of = |year: i32| {
        (0..100).flat_map(move |from| {
            [0, 1].map(|sex| PopulationCell {
                sex: Some(sex),
                year,
                from,
                to: from + 1,
                person_years: 1000.0,
            })
        })
    };
    PersonYears { cells: (1900..=2030).flat_map(of).collect() }
}

fn sites(plan: &Plan, codes: &[&str]) -> Vec<(SiteId, SiteData)> {
    codes.iter().map(|code| (SiteId::new(code).unwrap(), data(plan, code))).collect()
}

#[test]
fn every_card_has_an_example_that_runs_and_names_its_sources() {
    let plan = examples(&open());
    let (run, _) = run(&plan, &sites(&plan, &SITES), &open());
    for (model, card) in run.models.iter().zip(MODELS.iter().map(|m| m.card())) {
        assert_eq!(model.kind, card.kind);
        let Some(Outcome::Estimate(estimate)) = &model.outcome else { panic!("{}", card.kind) };
        assert!(!estimate.tables.is_empty() && !estimate.card.is_empty(), "{}", card.kind);
        for text in
            [card.title, card.estimates, card.sends, card.pools, card.not_done, card.sources]
        {
            assert!(text.len() > 5, "{}: {text}", card.kind);
        }
        // "none" is a whole answer to how pooling differs.
        assert!(!card.differs.is_empty(), "{}", card.kind);
    }
}

#[test]
fn every_column_is_what_it_says() {
    let plan = examples(&open());
    let found = estimates(&run(&plan, &sites(&plan, &SITES), &open()).0);
    let untrue = untrue_columns(found.values().flat_map(|estimate| &estimate.tables));
    assert!(untrue.is_empty(), "{untrue:#?}");
}

#[test]
fn the_order_of_the_sites_is_irrelevant() {
    let plan = examples(&open());
    let forwards = estimates(&run(&plan, &sites(&plan, &SITES), &open()).0);
    let backwards =
        estimates(&run(&plan, &sites(&plan, &["XE", "XD", "XC", "XB", "XA"]), &open()).0);
    assert_eq!(forwards, backwards);
}

#[test]
fn replaying_the_events_gives_the_same_run() {
    let plan = examples(&open());
    let (run, events) = run(&plan, &sites(&plan, &SITES), &open());
    // Through the wire and back, as a store keeps them.
    let stored: Vec<String> = events.iter().map(|e| serde_json::to_string(e).unwrap()).collect();
    let (mut again, _) = Run::open(&plan.hash, run.sites.clone(), plan.model_runs().unwrap());
    for event in &stored {
        let event: Event = serde_json::from_str(event).unwrap();
        again.apply(event).unwrap();
    }
    assert_eq!(again, run);
}

#[test]
fn an_event_that_does_not_fit_is_refused_and_changes_nothing() {
    let plan = examples(&open());
    let (finished, events) = run(&plan, &sites(&plan, &SITES), &open());
    let (mut run, _) = Run::open(&plan.hash, finished.sites, plan.model_runs().unwrap());
    run.apply(events[0].clone()).unwrap();
    let before = run.clone();
    let twice = run.apply(events[0].clone()).unwrap_err().to_string();
    assert!(twice.contains("already answered"), "{twice}");
    let early = run.apply(events[5].clone()).unwrap_err().to_string();
    assert!(early.contains("round 0"), "{early}");
    let Event::Answered { answers, round, .. } = events[1].clone() else { panic!() };
    let stranger = SiteId::new("ZZ").unwrap();
    assert!(run.apply(Event::Answered { site: stranger, round, answers }).is_err());
    assert_eq!(run, before);
}

#[test]
fn too_few_persons_are_refused_by_every_model() {
    let strict = Policy { min_persons_in_sum: 1_000_000, each_site: false, ..open() };
    let plan = examples(&open());
    let (run, _) = run(&plan, &sites(&plan, &SITES), &strict);
    for model in &run.models {
        assert_eq!(model.refused.len(), 5, "{}", model.id);
        assert!(matches!(model.outcome, Some(Outcome::Failed { .. })), "{}", model.id);
    }
}

#[test]
fn a_pooled_sum_of_too_few_sites_is_not_formed() {
    let three = Policy { min_sites: 3, ..Policy::open() };
    let plan = examples(&three);
    let (run, _) = run(&plan, &sites(&plan, &["XA", "XB"]), &three);
    for model in &run.models {
        let failed = matches!(&model.outcome, Some(Outcome::Failed { reason }) if reason.contains("needs 3"));
        let visible = model.visibility == tributary::summary::Visibility::EachSite;
        assert!(failed != visible, "{}: {:?}", model.id, model.outcome);
    }
}

/// Models whose tables have a line or a level for each site.
const SHOWS_SITES: [&str; 3] = ["participation", "meta_analysis", "site_rates"];

/// No answer holds a number that is not finite, whatever the site holds, and nobody changes no number.
#[test]
fn a_site_without_anybody_answers_with_zeros() {
    let plan = examples(&open());
    let nobody = AnalysisSpec::parse(
        "nobody.toml",
        "id = \"n\"\ntitle = \"n\"\nquestion = \"?\"\nstudy = \"wilms\"\nmodel = []\n[population]\nwhere = \"age_years >= 20\"\n",
        &plan.study,
    )
    .unwrap();
    let conditions = nobody.population.conditions(&plan.study).unwrap();
    let found = |kind: &str| tributary::models::find(kind).unwrap();
    let needs: Vec<ColumnNeed> =
        plan.spec.models.iter().flat_map(|m| found(&m.kind).needs(&m.options).unwrap()).collect();
    let mut empty = registry(&plan.study, "XC").cohort(&conditions, &needs).unwrap();
    assert_eq!(empty.cohort.rows(), 0);
    empty.tables = SiteTables { population: None, ..flat_tables() };
    // The same steps as at the other sites, which have no such condition.
    empty.flow.excluded.truncate(1);
    let mut with_empty = sites(&plan, &["XA", "XB", "XD", "XE"]);
    let without = estimates(&run(&plan, &with_empty, &open()).0);
    with_empty.push((SiteId::new("XC").unwrap(), empty));
    let with = estimates(&run(&plan, &with_empty, &open()).0);
    let (mut compared, mut changed) = (0, Vec::new());
    for (model, estimate) in &without {
        let kind = &plan.spec.models.iter().find(|m| m.id == *model).unwrap().kind;
        if SHOWS_SITES.contains(&kind.as_str()) {
            continue;
        }
        for (found, wanted) in with[model].tables.iter().zip(&estimate.tables) {
            assert_eq!(found.rows.len(), wanted.rows.len(), "{model}.{}", wanted.name);
            for (found_row, wanted_row) in found.rows.iter().zip(&wanted.rows) {
                for (c, field) in wanted.columns.iter().enumerate() {
                    let same = match (&found_row[c], &wanted_row[c]) {
                        // One site more answered.
                        _ if field.name == "sites" => true,
                        // Its zeros move a likelihood by a rounding.
                        (Value::Number(x), Value::Number(y)) => (x - y).abs() <= 1e-12 * y.abs(),
                        (found, wanted) => found == wanted,
                    };
                    if !same {
                        let (found, wanted) = (&found_row[c], &wanted_row[c]);
                        changed.push(format!("{kind}.{}: {found:?} for {wanted:?}", field.name));
                    }
                }
            }
        }
        compared += 1;
    }
    assert!(changed.is_empty(), "{changed:#?}");
    assert_eq!(compared, MODELS.len() - SHOWS_SITES.len());
}

#[test]
fn examples_are_toml_that_stands_alone() {
    for model in MODELS {
        Source::parse(model.card().kind, model.card().example).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// Everything that a hub asks of one site in the course of the examples, with what it is asked of.
pub fn asked() -> (Plan, SiteData, Vec<(String, serde_json::Value)>) {
    let mut plan = examples(&open());
    let common = tributary::spec::ModelSpec {
        id: "cox_common".into(),
        ..plan.spec.models.iter().find(|m| m.kind == "cox").unwrap().clone()
    };
    let mut options = common.options.clone();
    options["baseline"] = "common".into();
    let common = tributary::spec::ModelSpec { options, ..common };
    let (finished, _) = run(&plan, &sites(&plan, &SITES), &open());
    let mut rounds = Vec::new();
    for model in &finished.models {
        rounds.extend(model.rounds.iter().map(|r| (model.id.clone(), r.params.clone())));
        if model.kind == "cox" {
            rounds.extend(model.rounds.iter().map(|r| (common.id.clone(), r.params.clone())));
        }
    }
    let data = data(&plan, "XE");
    plan.spec.models.push(common);
    (plan, data, rounds)
}
