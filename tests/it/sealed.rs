//! Sealed equals plain: the same answers, once pooled in the open and once through masks, hub and keyholder.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tributary::{
    cohort::SiteData,
    estimate::{Estimate, Value},
    hub::{Pool, Sums, advance},
    keyholder::Keyholder,
    ledger::Ledger,
    models,
    plan::Plan,
    protocol::{Address, AnswerFile, Document, Outgoing, Part, question_hash, seal},
    run::{Effect, Event, Run, RunState},
    seal::{HubKeys, KeyholderKeys, OpeningKey, Roster, Seed, SigningKey, SiteKeys, words},
    summary::{
        Array, Axis, Draft, Kind, Layout, Policy, Rule, SiteId, Support, Visibility, release,
    },
};

use crate::{
    pooling::{Frame, estimates, run as plain_run},
    wilms::{SITES, registry, wilms_plan},
};

/// Keys of all parties, made of their names.
pub struct Keys {
    pub roster: Roster,
    pub hub: SigningKey,
    pub signing: SigningKey,
    pub opening: OpeningKey,
    pub sites: BTreeMap<SiteId, SigningKey>,
}

fn bytes(name: &str) -> [u8; 32] {
    let mut bytes = [7; 32];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    bytes
}

impl Keys {
    pub fn of(study: &str, codes: &[SiteId], min_sites: usize) -> Self {
        let [hub, signing] = ["the hub", "the keyholder"].map(|name| SigningKey::of(&bytes(name)));
        let opening = OpeningKey::of(&bytes("opening")).unwrap();
        let key = |code: &SiteId| (code.clone(), SigningKey::of(&bytes(code.as_str())));
        let sites: BTreeMap<SiteId, SigningKey> = codes.iter().map(key).collect();
        let members = sites.iter().map(|(c, k)| (c.clone(), SiteKeys { signing_key: k.public() }));
        let roster = Roster {
            study: study.into(),
            min_sites,
            hub: HubKeys { signing_key: hub.public() },
            keyholder: KeyholderKeys {
                signing_key: signing.public(),
                sealing_key: opening.public(),
            },
            sites: members.collect(),
        };
        Self { roster, hub, signing, opening, sites }
    }

    pub fn keyholder(&self) -> Keyholder {
        let (opening, signing) = (self.opening.clone(), self.signing.clone());
        let rosters = vec![self.roster.clone()];
        Keyholder::new(opening, signing, rosters, 0, Ledger::in_memory()).unwrap()
    }
}

pub fn address(plan: &Plan, round: usize, run: &Run) -> Address {
    Address {
        study: plan.study.id.clone(),
        analysis: plan.spec.id.clone(),
        run: "r".into(),
        round,
        specification: plan.hash.clone(),
        question: question_hash(&run.questions()),
    }
}

/// A site's answer as it leaves.
pub fn answer(
    plan: &Plan,
    keys: &Keys,
    site: &SiteId,
    data: &SiteData,
    round: usize,
    run: &Run,
) -> AnswerFile {
    let policy = &plan.study.policy;
    let parts = plan.parts();
    let outgoing = run.questions().into_iter().map(|question| {
        let spec = plan.spec.models.iter().find(|m| m.id == question.model).unwrap();
        let model = models::find(&spec.kind).unwrap();
        let draft = model.summarise(&spec.options, &question.params, data).unwrap();
        let (part, visibility) = parts[&spec.id];
        let released = release(draft, policy, visibility, round as u32).map_err(|r| r.public());
        (spec.id.clone(), Outgoing { part, visibility, released })
    });
    let seed = Seed::fresh().unwrap();
    let (address, key) = (address(plan, round, run), &keys.sites[site]);
    seal(&address, &keys.roster, policy, outgoing.collect(), site, &seed, key).unwrap()
}

/// Runs a plan under the seal; sites in `late` take part, but are not heard in the first round.
pub fn sealed_run(plan: &Plan, sites: &[(SiteId, SiteData)], late: &BTreeSet<SiteId>) -> Run {
    let codes: Vec<SiteId> = sites.iter().map(|(code, _)| code.clone()).collect();
    let policy = &plan.study.policy;
    let keys = Keys::of(&plan.study.id, &codes, policy.min_sites as usize);
    let mut keyholder = keys.keyholder();
    let members = codes.into_iter().collect();
    let (mut run, mut effects) = Run::open(&plan.hash, members, plan.model_runs().unwrap());
    let mut pool = Pool::default();
    while let Some(effect) = effects.pop() {
        match effect {
            Effect::Ask { round, .. } => {
                for (site, data) in sites.iter().filter(|(site, _)| !late.contains(site)) {
                    let answer = answer(plan, &keys, site, data, round, &run);
                    // Through the wire, as text.
                    let answer: AnswerFile = Document::parse(&answer.to_text()).unwrap();
                    answer
                        .check(&keys.roster, &address(plan, round, &run), policy, &plan.parts())
                        .unwrap();
                    let answers = answer.events().unwrap();
                    let event = Event::Answered { site: site.clone(), round, answers };
                    effects.extend(run.apply(event).unwrap());
                    pool.add(&answer).unwrap();
                }
                if matches!(run.state, RunState::Asking { .. }) {
                    effects.extend(run.apply(Event::Closed).unwrap());
                }
            }
            Effect::Advance { round } => {
                let pool = std::mem::take(&mut pool);
                let sums = match pool.request(&address(plan, round, &run), &keys.roster, &keys.hub)
                {
                    None => Sums::new(),
                    Some(request) => {
                        let opening = keyholder.open(&request, jiff::Timestamp::now()).unwrap();
                        pool.open(&request, &opening, &keys.roster, policy).unwrap()
                    }
                };
                effects.extend(run.apply(advance(&run, round, policy, &sums)).unwrap());
            }
            Effect::Propose | Effect::Publish => {}
        }
    }
    run
}

/// Asserts that two results are the same numbers: counts and words exactly, others to 1e-9 relative. The sums differ in the
/// last bit only: one is exact and rounded once, the other compensated.
pub fn same(found: &BTreeMap<String, Estimate>, wanted: &BTreeMap<String, Estimate>, what: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (model, wanted) in wanted {
        let found = &found[model];
        assert_eq!(found.status, wanted.status, "{what}: {model}");
        for (a, b) in found.tables.iter().zip(&wanted.tables) {
            assert_eq!(
                (&a.name, &a.columns, a.rows.len()),
                (&b.name, &b.columns, b.rows.len()),
                "{what}: {model}"
            );
            for (i, (x, y)) in a.rows.iter().flatten().zip(b.rows.iter().flatten()).enumerate() {
                let agree = match (x, y) {
                    (Value::Number(x), Value::Number(y)) => {
                        (x - y).abs() <= 1e-9 * y.abs().max(1e-3)
                    }
                    (x, y) => x == y,
                };
                assert!(agree, "{what}: {model}, {}, cell {i}: {x:?}, expected {y:?}", a.name);
            }
        }
    }
}

fn wilms_data(plan: &Plan) -> Vec<(SiteId, SiteData)> {
    let found = |kind: &str| models::find(kind).unwrap();
    let mut needs = Vec::new();
    for model in &plan.spec.models {
        needs.extend(found(&model.kind).needs(&model.options).unwrap());
    }
    let data = |code: &&str| {
        let cohort = registry(&plan.study, code).cohort(&plan.conditions, &needs).unwrap();
        (SiteId::new(code).unwrap(), cohort)
    };
    SITES.iter().map(data).collect()
}

/// Every subset of absent sites that leaves enough of them: one late in the first round costs nothing.
#[test]
fn sealed_equals_plain_for_every_subset_of_absent_sites() {
    let plan = wilms_plan();
    let sites = wilms_data(&plan);
    let mut tried = 0;
    for set in 0..32_u32 {
        let late: BTreeSet<SiteId> = sites
            .iter()
            .enumerate()
            .filter(|(i, _)| set >> i & 1 == 1)
            .map(|(_, (s, _))| s.clone())
            .collect();
        if sites.len() - late.len() < 3 {
            continue;
        }
        let sealed = sealed_run(&plan, &sites, &late);
        assert_eq!(sealed.late.len(), late.len());
        let present: Vec<(SiteId, SiteData)> =
            wilms_data(&plan).into_iter().filter(|(site, _)| !late.contains(site)).collect();
        let (plain, _) = plain_run(&plan, &present, &plan.study.policy);
        same(&estimates(&sealed), &estimates(&plain), &format!("without {late:?}"));
        tried += 1;
    }
    assert_eq!(tried, 16);
}

#[test]
fn too_few_present_sites_open_nothing() {
    let plan = wilms_plan();
    let sites = wilms_data(&plan);
    let late: BTreeSet<SiteId> = sites[..3].iter().map(|(s, _)| s.clone()).collect();
    let run = sealed_run(&plan, &sites, &late);
    for model in run.models.iter().filter(|m| m.visibility == Visibility::SumOnly) {
        let text = format!("{:?}", model.outcome);
        assert!(text.contains("needs 3"), "{text}");
    }
}

/// Every further kind, on the lung data with a date and flat life tables.
pub const FURTHER: &str = "[[model]]\nid = \"n1\"\nkind = \"net_survival\"\nby = \"sex\"\ntest = true\ncrude_probabilities = true\ntimes_years = [1]\nage_from = [0, 60]\n\
        background = { sex = \"sex\", age = \"age\", date = \"date\" }\n\
    [[model]]\nid = \"n2\"\nkind = \"profile_likelihood\"\neffect = \"sex\"\n\
    [[model]]\nid = \"n3\"\nkind = \"competing_risks\"\ncauses = [\"1\"]\nby = \"sex\"\ntimes_years = [1]\n\
    [[model]]\nid = \"n4\"\nkind = \"parametric\"\ndistribution = \"weibull\"\ncovariates = [\"sex\", \"age\"]\n\
    [[model]]\nid = \"n5\"\nkind = \"royston_parmar\"\nknots = 1\ncovariates = [\"sex\"]\n\
    [[model]]\nid = \"n6\"\nkind = \"cure\"\nwithout_gate = true\n\
    [[model]]\nid = \"n7\"\nkind = \"poisson\"\nbands_years = [1, 3]\ncovariates = [\"sex\"]\n\
    [[model]]\nid = \"n8\"\nkind = \"excess_hazard\"\nbands_years = [1, 3]\ncovariates = [\"sex\"]\nbackground = { sex = \"sex\", age = \"age\", date = \"date\" }\n\
    [[model]]\nid = \"n9\"\nkind = \"penalised_cox\"\ncovariates = [\"sex\"]\n\
    [[model]]\nid = \"n10\"\nkind = \"cox_patterns\"\ncovariates = [\"sex\"]\ntimes_years = [1]\nstandardise = \"sex\"\n\
    [[model]]\nid = \"n11\"\nkind = \"fine_gray\"\ncause = \"1\"\ncompeting = []\ncovariates = [\"sex\"]\n\
    [[model]]\nid = \"n12\"\nkind = \"multi_state\"\nstates = [\"0\", \"1\"]\ntimes_years = [1]\n\
    [[model]]\nid = \"n13\"\nkind = \"mean_cumulative_count\"\nrecurrent = [\"1\"]\ntimes_years = [1]\n\
    [[model]]\nid = \"n14\"\nkind = \"standardised_ratio\"\nby = \"sex\"\nbands_years = [1, 3]\nbackground = { sex = \"sex\", age = \"age\", date = \"date\" }\n\
    [[model]]\nid = \"n15\"\nkind = \"survival_lexis\"\ndate = \"date\"\nyears = [1983, 1987]\nfollowup_years = 2\napproaches = [{ name = \"all\", diagnosed = [1983, 1987] }]\n\
    [[model]]\nid = \"n16\"\nkind = \"incidence_rates\"\nby = \"sex\"\nperiods = [[1981, 1983], [1984, 1986]]\nincidence = { age = \"age\", year = \"date\", ages = [0, 30, 60], years = [1981, 1986] }\n\
    [[model]]\nid = \"n17\"\nkind = \"rate_trend\"\nincidence = { age = \"age\", year = \"date\", ages = [0, 30, 60], years = [1981, 1986] }\n\
    [[model]]\nid = \"n18\"\nkind = \"joinpoint\"\nincidence = { age = \"age\", year = \"date\", ages = [0, 30, 60], years = [1981, 1986] }\n\
    [[model]]\nid = \"n19\"\nkind = \"rate_comparison\"\nbetween = \"groups\"\nby = \"sex\"\nincidence = { age = \"age\", year = \"date\", ages = [0, 30, 60], years = [1981, 1986] }\n\
    [[model]]\nid = \"n20\"\nkind = \"age_period_cohort\"\nknots = [2, 2, 2]\nincidence = { age = \"age\", year = \"date\", ages = [0, 20, 40, 60, 80], age_end = 100, years = [1981, 1986] }\n\
    [[model]]\nid = \"n21\"\nkind = \"quality_indicators\"\nby = \"sex\"\nindicators = [{ name = \"dead\", variable = \"event\", levels = [\"1\"] }]\n\
    [[model]]\nid = \"n22\"\nkind = \"count_regression\"\nyear = false\nincidence = { age = \"age\", year = \"date\", ages = [0, 60], years = [1981, 1986] }\n\
    [[model]]\nid = \"n23\"\nkind = \"projection\"\nbase_periods = [3, 6]\nperiod_years = 5\npopulation = \"constant\"\nincidence = { age = \"age\", year = \"date\", ages = [55, 60, 65, 70], years = [1972, 1986] }\n\
    [[model]]\nid = \"n24\"\nkind = \"prevalence\"\non = \"1985-01-01\"\ndurations_years = [5]\nby = \"sex\"\nincidence = { age = \"age\", year = \"date\", ages = [0, 65], years = [1981, 1986] }\n";

/// The lung data with what the further kinds ask for.
pub fn with_everything() -> Frame {
    let mut frame = crate::survival_oracles::lung();
    frame.add("date", |_| "5000".into(), "date");
    frame.tables = crate::laws::flat_tables();
    frame
}

/// All kinds of the registry over 3 to 40 sites, one of them with a single patient.
#[test]
fn sealed_equals_plain_for_every_model_over_3_to_40_sites() {
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
        [[model]]\nid = \"a\"\nkind = \"characteristics\"\nvariables = [\"sex\", \"event\"]\nby = \"sex\"\n\
        [[model]]\nid = \"b\"\nkind = \"agreement\"\nrating = \"sex\"\nreference = \"sex\"\npositive = \"1\"\n\
        [[model]]\nid = \"c\"\nkind = \"kaplan_meier\"\nby = \"sex\"\ntimes_years = [1]\n\
        [[model]]\nid = \"d\"\nkind = \"log_rank\"\nby = \"sex\"\n\
        [[model]]\nid = \"d2\"\nkind = \"log_rank\"\nby = \"sex\"\nstratify_by_site = false\n\
        [[model]]\nid = \"e\"\nkind = \"cox\"\ncovariates = [\"sex\", \"age\"]\n\
        [[model]]\nid = \"f\"\nkind = \"cox\"\ncovariates = [\"sex\", \"age\"]\nbaseline = \"common\"\n\
        [[model]]\nid = \"g\"\nkind = \"participation\"\n";
    let models = format!("{models}{FURTHER}");
    let models = models.as_str();
    let frame: Frame = with_everything();
    let plan = crate::pooling::plan(&frame.study, models);
    let kinds: BTreeSet<&str> = plan.spec.models.iter().map(|m| m.kind.as_str()).collect();
    // meta_analysis and site_rates are never sealed: they are read per site.
    assert_eq!(kinds.len() + 2, models::MODELS.len());
    for n in [3, 4, 7, 40] {
        let data = || -> Vec<(SiteId, SiteData)> {
            let site = |(i, rows): (usize, &Vec<usize>)| {
                (SiteId::new(&format!("S{i:02}")).unwrap(), frame.site(rows))
            };
            frame.deal(n).iter().enumerate().map(site).collect()
        };
        let sealed = sealed_run(&plan, &data(), &BTreeSet::new());
        let (plain, _) = plain_run(&plan, &data(), &plan.study.policy);
        same(&estimates(&sealed), &estimates(&plain), &format!("{n} sites"));
    }
}

/// A statistic of a million words: summed under the seal by three sites.
#[test]
fn a_million_words_are_summed_exactly() {
    const N: usize = 1_000_000;
    let codes = ["A", "B", "C"].map(|c| SiteId::new(c).unwrap());
    let keys = Keys::of("s", &codes, 3);
    let policy = Policy::open();
    let value = |site: usize, i: usize| {
        (i as f64).mul_add(1e-3, site as f64) * if i.is_multiple_of(2) { 1.0 } else { -1.0 }
    };
    let mut pool = Pool::default();
    let address = Address {
        study: "s".into(),
        analysis: "a".into(),
        run: "r".into(),
        round: 0,
        specification: "0".repeat(64),
        question: "1".repeat(64),
    };
    for (s, site) in codes.iter().enumerate() {
        let cells = (0..N).map(|i| value(s, i)).collect();
        let axes = vec![Axis::numbered("cell", N)];
        let array = Array::new("x", axes, Kind::Sum, Rule::Add, cells).unwrap();
        let draft = Draft::new(9).with(array, Support::Whole(9));
        let released = release(draft, &policy, Visibility::SumOnly, 0).map_err(|r| r.public());
        let outgoing = Outgoing { part: 0, visibility: Visibility::SumOnly, released };
        let outgoing = BTreeMap::from([("m".to_owned(), outgoing)]);
        let seed = Seed::fresh().unwrap();
        let answer =
            seal(&address, &keys.roster, &policy, outgoing, site, &seed, &keys.sites[site])
                .unwrap();
        let text = answer.to_text();
        assert!(text.len() < 23_000_000, "{}", text.len());
        pool.add(&Document::parse(&text).unwrap()).unwrap();
    }
    let request = pool.request(&address, &keys.roster, &keys.hub).unwrap();
    let opening = keys.keyholder().open(&request, jiff::Timestamp::now()).unwrap();
    let sums = pool.open(&request, &opening, &keys.roster, &policy).unwrap();
    let found = sums["m"].as_ref().unwrap().numbers("x").unwrap();
    for (i, x) in found.iter().enumerate() {
        let wanted: f64 = (0..3).map(|s| value(s, i)).sum();
        assert!(
            (x - wanted).abs() <= 1e-15 * wanted.abs().max(1.0),
            "cell {i}: {x}, expected {wanted}"
        );
    }
}

/// What a sum cannot hold is held back, instead of being clipped, with its rule and no number; the other model's answer travels.
#[test]
fn a_number_that_does_not_fit_costs_its_own_model_alone() {
    let codes = ["A", "B", "C"].map(|c| SiteId::new(c).unwrap());
    let keys = Keys::of("s", &codes, 3);
    let outgoing = |part: u32, cell: f64| {
        let array = Array::new("x", vec![], Kind::Sum, Rule::Add, vec![cell]).unwrap();
        let draft = Draft::new(9).with(array, Support::Whole(9));
        let released =
            release(draft, &Policy::open(), Visibility::SumOnly, 0).map_err(|r| r.public());
        Outgoing { part, visibility: Visibility::SumOnly, released }
    };
    let outgoing = BTreeMap::from([
        ("m".to_owned(), outgoing(0, 1.23e19)),
        ("n".to_owned(), outgoing(1, 1.0)),
    ]);
    let address = Address {
        study: "s".into(),
        analysis: "a".into(),
        run: "r".into(),
        round: 0,
        specification: String::new(),
        question: String::new(),
    };
    let (seed, key) = (Seed::fresh().unwrap(), &keys.sites[&codes[0]]);
    let answer =
        seal(&address, &keys.roster, &Policy::open(), outgoing, &codes[0], &seed, key).unwrap();
    let text = serde_json::to_string(&answer.header.models["m"]).unwrap();
    assert!(text.contains("too-large") && !text.contains("23"), "{text}");
    assert!(matches!(answer.header.models["n"], Part::Sealed { .. }));
    assert_eq!(answer.words.len(), 1);
}

/// What leaves a site is not its words: without the seed every value is as likely as any other, and no two answers of the
/// same numbers look alike.
#[test]
fn masked_words_say_nothing_of_the_numbers() {
    let plan = wilms_plan();
    let sites = wilms_data(&plan);
    let codes: Vec<SiteId> = sites.iter().map(|(c, _)| c.clone()).collect();
    let keys = Keys::of("wilms", &codes, 3);
    let (run, _) =
        Run::open(&plan.hash, codes.iter().cloned().collect(), plan.model_runs().unwrap());
    let (site, data) = &sites[4];
    let [one, two] = [0, 1].map(|_| answer(&plan, &keys, site, data, 0, &run));
    assert!(one.words.len() > 10_000);
    let equal = one.words.iter().zip(&two.words).filter(|(a, b)| a == b).count();
    assert_eq!(equal, 0);
    // Most cells are 0; a word that is its mask alone has half of its bits set.
    let ones: u32 = one.words.iter().map(|w| w.count_ones()).sum();
    let share = f64::from(ones) / (one.words.len() as f64 * 128.0);
    assert!((share - 0.5).abs() < 0.005, "{share}");
    assert!(one.header.models.values().any(|p| matches!(p, Part::Sealed { .. })));
}

proptest! {
    /// Any numbers, any number of sites: the sum under the seal is the exact sum.
    #[test]
    fn any_numbers_sum_to_their_sum(cells in prop::collection::vec(prop::collection::vec(-1e12_f64..1e12, 6), 3..40)) {
        let layout = Layout { name: "x".into(), axes: vec![Axis::numbered("cell", 6)], kind: Kind::Sum, rule: Rule::Add, shown: false };
        let (mut masked, mut masks) = (vec![0; 6], vec![0; 6]);
        for (k, cells) in cells.iter().enumerate() {
            let cells: Vec<Option<f64>> = cells.iter().copied().map(Some).collect();
            let mut answer = words::encode(&layout, &cells, 40).unwrap();
            let mask = Seed::of([k as u8 + 1; 32]).mask(0, 6);
            words::add(&mut answer, &mask);
            words::add(&mut masked, &answer);
            words::add(&mut masks, &mask);
        }
        words::subtract(&mut masked, &masks);
        for (i, x) in words::decode(&layout, &masked).into_iter().enumerate() {
            let wanted: f64 = cells.iter().map(|c| c[i]).sum();
            let size: f64 = cells.iter().map(|c| c[i].abs()).sum();
            prop_assert!((x - wanted).abs() <= 1e-14 * size, "{x} {wanted}");
        }
    }
}

/// A change to an answer on its way out.
type Change<'a> = dyn Fn(&SiteId, &mut BTreeMap<String, Outgoing>, &mut Policy, &mut Address) + 'a;

/// Answers of the Wilms sites to the first round, changed by `change` on their way out.
fn first_answers(plan: &Plan, keys: &Keys, change: &Change<'_>) -> Vec<AnswerFile> {
    let codes: BTreeSet<SiteId> = keys.sites.keys().cloned().collect();
    let (run, _) = Run::open(&plan.hash, codes, plan.model_runs().unwrap());
    let parts = plan.parts();
    wilms_data(plan)
        .iter()
        .map(|(site, data)| {
            let mut policy = plan.study.policy.clone();
            let mut outgoing = BTreeMap::new();
            for question in run.questions() {
                let spec = plan.spec.models.iter().find(|m| m.id == question.model).unwrap();
                let model = models::find(&spec.kind).unwrap();
                let draft = model.summarise(&spec.options, &question.params, data).unwrap();
                let (part, visibility) = parts[&spec.id];
                let released = release(draft, &policy, visibility, 0).map_err(|r| r.public());
                outgoing.insert(spec.id.clone(), Outgoing { part, visibility, released });
            }
            let mut address = address(plan, 0, &run);
            change(site, &mut outgoing, &mut policy, &mut address);
            let (seed, key) = (Seed::fresh().unwrap(), &keys.sites[site]);
            seal(&address, &keys.roster, &policy, outgoing, site, &seed, key).unwrap()
        })
        .collect()
}

fn request(
    plan: &Plan,
    keys: &Keys,
    answers: &[AnswerFile],
) -> tributary::protocol::OpeningRequest {
    let codes: BTreeSet<SiteId> = keys.sites.keys().cloned().collect();
    let (run, _) = Run::open(&plan.hash, codes, plan.model_runs().unwrap());
    let mut pool = Pool::default();
    for answer in answers {
        pool.add(answer).unwrap();
    }
    pool.request(&address(plan, 0, &run), &keys.roster, &keys.hub).unwrap()
}

/// A model that one site held back has a list that differs by that site; its table may be a margin of another model's.
#[test]
fn a_model_that_one_site_held_back_is_not_opened_beside_the_others() {
    let plan = wilms_plan();
    let codes = SITES.map(|c| SiteId::new(c).unwrap());
    let keys = Keys::of("wilms", &codes, 3);
    let held = release(
        Draft::new(1),
        &Policy { min_persons_in_sum: 9, ..Policy::open() },
        Visibility::SumOnly,
        0,
    );
    let held = held.unwrap_err().public();
    let answers = first_answers(&plan, &keys, &|site, outgoing, _, _| {
        if site.as_str() == "XE" {
            outgoing.get_mut("relapse_free").unwrap().released = Err(held.clone());
        }
    });
    let opening =
        keys.keyholder().open(&request(&plan, &keys, &answers), jiff::Timestamp::now()).unwrap();
    for part in &opening.header.parts {
        assert_eq!(part.refused.is_some(), part.model == "relapse_free", "{}", part.model);
    }
}

/// A hub that asks one site another question than the rest would take the rest away from the sum.
#[test]
fn answers_to_different_questions_are_not_summed() {
    let plan = wilms_plan();
    let codes = SITES.map(|c| SiteId::new(c).unwrap());
    let keys = Keys::of("wilms", &codes, 3);
    let answers = first_answers(&plan, &keys, &|site, _, _, address| {
        if site.as_str() == "XE" {
            address.question = "0".repeat(64);
        }
    });
    let error = keys
        .keyholder()
        .open(&request(&plan, &keys, &answers), jiff::Timestamp::now())
        .unwrap_err();
    assert!(error.to_string().contains("XE") && error.to_string().contains("question"), "{error}");
}

/// A site may ask for more company than the study does, and the keyholder sees to it.
#[test]
fn a_sites_own_floor_on_sites_is_kept_by_the_keyholder() {
    let plan = wilms_plan();
    let codes = SITES.map(|c| SiteId::new(c).unwrap());
    let keys = Keys::of("wilms", &codes, 3);
    for (own, opened) in [(5, true), (6, false)] {
        let answers = first_answers(&plan, &keys, &|site, _, policy, _| {
            if site.as_str() == "XB" {
                policy.min_sites = own;
            }
        });
        let opening = keys
            .keyholder()
            .open(&request(&plan, &keys, &answers), jiff::Timestamp::now())
            .unwrap();
        assert!(opening.header.parts.iter().all(|p| p.refused.is_none() == opened), "{own}");
    }
}

/// Fixed point does not spoil small numbers nor overflow at large ones: covariates on scales from 1e-6 to 1e6.
#[test]
fn sealed_fits_do_not_depend_on_the_scale_of_a_covariate() {
    let lung = crate::survival_oracles::lung();
    let read =
        |name: &str| -> Vec<f64> { lung.text(name).iter().map(|c| c.parse().unwrap()).collect() };
    let dictionary = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1100]\n\
        [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
        [dictionary.x]\ntype = \"real\"\nlabel = \"x\"\n";
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
        [[model]]\nid = \"own\"\nkind = \"cox\"\ncovariates = [\"x\"]\n\
        [[model]]\nid = \"common\"\nkind = \"cox\"\ncovariates = [\"x\"]\nbaseline = \"common\"\n";
    for scale in [1e-6, 1.0, 1e6] {
        for shift in [0.0, 1e3] {
            let x: Vec<f64> = read("age").iter().map(|a| scale * (a + shift)).collect();
            let frame = Frame::of(
                &[("time", read("time")), ("event", read("event")), ("x", x)],
                dictionary,
            );
            let plan = crate::pooling::plan(&frame.study, models);
            let data = || -> Vec<(SiteId, SiteData)> {
                let parts = frame.deal(5);
                let site = |(i, rows): (usize, &Vec<usize>)| {
                    (SiteId::new(&format!("S{i}")).unwrap(), frame.site(rows))
                };
                parts.iter().enumerate().map(site).collect()
            };
            let sealed = estimates(&sealed_run(&plan, &data(), &BTreeSet::new()));
            let plain = estimates(&plain_run(&plan, &data(), &plan.study.policy).0);
            for id in ["own", "common"] {
                for column in ["estimate", "std_error", "statistic"] {
                    let [found, wanted] = [&sealed, &plain]
                        .map(|e| crate::pooling::number(&e[id], "terms", &[], column));
                    let distance = (found - wanted).abs() / wanted.abs();
                    assert!(
                        distance < 1e-7,
                        "{id}, {column}, scale {scale}, shift {shift}: {found} {wanted}"
                    );
                }
            }
        }
    }
}
