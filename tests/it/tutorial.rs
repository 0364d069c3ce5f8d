//! The model of the chapter "A model in an afternoon" is what the chapter says: it pools to the closed form.

use std::collections::BTreeMap;

use tributary::{
    cohort::{Followup, ZeroRule},
    limits::ConfidenceLevel,
    model::{AnyModel, Context, Once, PooledRound, Step},
    summary::{SiteId, combine, release},
};

use self::exponential_rate::ExponentialRate;
use crate::pooling::{Frame, close, path};

#[path = "../../docs/src/tutorial/exponential_rate.rs"]
mod exponential_rate;

const DICTIONARY: &str = r#"
[dictionary.time]
type = "days"
label = "Time"
range = [0, 4000]
required = true
[dictionary.event]
type = "flag"
label = "Event"
required = true
[dictionary.arm]
type = "category"
label = "Arm"
levels = ["0", "1"]
"#;

#[test]
fn the_model_of_the_tutorial_pools_to_events_over_person_years() {
    let frame = Frame::of(
        &[
            ("time", vec![0.0, 100.0, 200.0, 400.0, 50.0, 60.0]),
            ("event", vec![1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
            ("arm", vec![0.0, 0.0, 0.0, 0.0, 1.0, 1.0]),
        ],
        DICTIONARY,
    );
    let followup: Followup =
        serde_json::from_value(serde_json::json!({ "time": "time", "event": "event" })).unwrap();
    assert_eq!(followup.zero, ZeroRule::HalfDay);
    let context = Context {
        dictionary: &frame.study.dictionary,
        data: frame.study.data,
        followup: Some(&followup),
        incidence: None,
        confidence_level: ConfidenceLevel::default(),
        year: followup.year,
        earlier: &[],
        faulty: &[],
        given: &[],
    };
    let model = Once(ExponentialRate);
    let misspelt = serde_json::json!({ "by": "arn" });
    let faults = AnyModel::prepare(&model, &misspelt, &context).unwrap_err();
    assert!(format!("{faults:?}").contains("/by"), "{faults:?}");

    let options = AnyModel::prepare(&model, &serde_json::json!({ "by": "arm" }), &context).unwrap();
    let policy = &frame.study.policy;
    let question = AnyModel::begin(&model, &options).unwrap();
    let visibility = AnyModel::visibility(&model, &options).unwrap();
    let answer = |rows: &[usize]| {
        let draft = AnyModel::summarise(&model, &options, &question, &frame.site(rows)).unwrap();
        release(draft, policy, visibility, 0).unwrap()
    };
    let sites: BTreeMap<SiteId, _> = [("S1", &[0, 1, 4][..]), ("S2", &[2, 3, 5][..])]
        .map(|(code, rows)| (SiteId::new(code).unwrap(), answer(rows)))
        .into();
    let pooled = combine(&sites, policy).unwrap();
    let round = PooledRound { params: question.clone(), pooled, sites: 2 };
    let Step::Done(estimate) =
        AnyModel::advance(&model, &options, &[std::sync::Arc::new(round)]).unwrap()
    else {
        panic!("one round");
    };
    let table = estimate.table("constant_rates").unwrap();
    let years = 700.5 / 365.25;
    close(table.number(0, "estimate").unwrap(), 2.0 / years, 1e-12, "rate");
    // Exact limits of two events: 0.2422093 and 7.224688.
    close(table.number(0, "conf_low").unwrap(), 0.242_209_278_543_5 / years, 1e-8, "limit");
    close(table.number(0, "conf_high").unwrap(), 7.224_687_667_055_4 / years, 1e-8, "limit");
    assert_eq!(table.text(1, "status"), "NO_EVENTS");
    assert_eq!(table.columns[4].of.as_deref(), Some("estimate"));
    assert_eq!(table.columns[4].unit, tributary::estimate::Unit::Rate);
}

#[test]
fn the_chapter_shows_the_whole_model() {
    let chapter = std::fs::read_to_string(path("docs/src/new-model.md")).unwrap();
    assert!(chapter.contains("{{#include tutorial/exponential_rate.rs}}"));
    assert!(chapter.contains("Once(exponential_rate::ExponentialRate)"));
}
