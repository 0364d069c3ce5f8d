//! A data set split over sites and pooled through gate, sum and hub, as a live study would be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use tributary::{
    cohort::{Cohort, Column, Flow, SiteData, SiteTables},
    estimate::{Estimate, Table, Unit, Value},
    hub, models,
    plan::{Plan, fingerprint},
    run::{Answer, Effect, Event, Outcome, Question, Run, RunState},
    spec::{Study, VariableKind},
    summary::{Policy, SiteId, release},
};

/// Path of a file of the package.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// A CSV file of the reference folder: header and rows, no quotes in them.
pub fn csv(name: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let text = fs::read_to_string(path("tests/reference").join(name)).unwrap();
    let mut lines = text.lines().map(|l| l.split(',').map(str::to_owned).collect::<Vec<_>>());
    (lines.next().unwrap(), lines.collect())
}

/// Reference numbers by `block/…/stat`.
pub fn reference(name: &str) -> BTreeMap<String, f64> {
    let (_, rows) = csv(name);
    rows.into_iter()
        .filter_map(|mut row| {
            // R writes NA where it has no number.
            let value = row.pop().unwrap();
            (value != "NA").then(|| (row.join("/"), value.parse().unwrap()))
        })
        .collect()
}

/// Rows of a data set with the study that describes them.
pub struct Frame {
    pub study: Study,
    columns: BTreeMap<String, Vec<String>>,
    pub rows: usize,
    pub tables: SiteTables,
}

impl Frame {
    /// Reads a reference file; `dictionary` is the part of a study file after `[policy]`.
    pub fn read(file: &str, dictionary: &str) -> Self {
        let (head, rows) = csv(file);
        let column = |i: usize| rows.iter().map(|r| r[i].clone()).collect();
        let columns = head.iter().enumerate().map(|(i, name)| (name.clone(), column(i))).collect();
        Self { study: study(dictionary), columns, rows: rows.len(), tables: SiteTables::default() }
    }

    /// A frame of given columns.
    pub fn of(columns: &[(&str, Vec<f64>)], dictionary: &str) -> Self {
        let text = |values: &Vec<f64>| {
            values
                .iter()
                .map(|x| if x.is_nan() { String::new() } else { x.to_string() })
                .collect::<Vec<_>>()
        };
        let rows = columns[0].1.len();
        let columns = columns.iter().map(|(name, v)| ((*name).to_owned(), text(v))).collect();
        Self { study: study(dictionary), columns, rows, tables: SiteTables::default() }
    }

    /// Adds a column computed from a row's cells.
    pub fn add(
        &mut self,
        name: &str,
        cell: impl Fn(&dyn Fn(&str) -> String) -> String,
        kind: &str,
    ) {
        let cells =
            (0..self.rows).map(|r| cell(&|column| self.columns[column][r].clone())).collect();
        self.columns.insert(name.to_owned(), cells);
        let mut dictionary = serde_json::to_value(&self.study.dictionary).unwrap();
        let variable = serde_json::json!({ "type": kind, "label": name });
        let variables = match dictionary.get("variables") {
            Some(_) => &mut dictionary["variables"],
            None => &mut dictionary,
        };
        variables[name] = variable;
        self.study.dictionary = serde_json::from_value(dictionary).unwrap();
    }

    /// Values of a column as they stand in the file.
    pub fn text(&self, column: &str) -> &[String] {
        &self.columns[column]
    }

    /// Rows as one site holds them.
    pub fn site(&self, rows: &[usize]) -> SiteData {
        let mut columns = BTreeMap::new();
        for (name, variable) in self.study.dictionary.iter() {
            let cells: Vec<&str> = rows.iter().map(|&r| self.columns[name][r].as_str()).collect();
            let known = |cell: &&str| (!cell.is_empty()).then(|| (*cell).to_owned());
            let column = match variable.kind {
                VariableKind::Category => Column::Category {
                    codes: cells
                        .iter()
                        .map(|c| variable.levels.iter().position(|l| l == c).map(|i| i as u32))
                        .collect(),
                    levels: variable.levels.clone(),
                },
                VariableKind::Flag => {
                    Column::Flag(cells.iter().map(|c| known(c).map(|c| c == "1")).collect())
                }
                VariableKind::Days | VariableKind::Date => Column::Day(
                    cells
                        .iter()
                        .map(|c| known(c).map(|c| c.parse::<f64>().unwrap() as i32))
                        .collect(),
                ),
                VariableKind::Integer | VariableKind::Real => Column::Real(
                    cells
                        .iter()
                        .map(|c| known(c).map_or(f64::NAN, |c| c.parse().unwrap()))
                        .collect(),
                ),
                VariableKind::Text => continue,
            };
            columns.insert(name.to_owned(), column);
        }
        let flow = Flow { received: rows.len() as u64, excluded: vec![("not mapped".into(), 0)] };
        SiteData {
            cohort: Cohort::new(rows.len(), columns).unwrap(),
            flow,
            tables: self.tables.clone(),
        }
    }

    /// Rows dealt out to `sites` sites in turn, the last one getting a single row if there are enough.
    pub fn deal(&self, sites: usize) -> Vec<Vec<usize>> {
        let mut parts = vec![Vec::new(); sites];
        for row in 0..self.rows {
            let lonely = sites > 2 && row > 0 && row % sites == sites - 1;
            parts[if lonely { 0 } else { row % sites }].push(row);
        }
        if sites > 2 {
            let row = parts[0].pop().unwrap();
            parts[sites - 1].push(row);
        }
        parts
    }

    /// Rows by the values of a column.
    pub fn split_by(&self, column: &str) -> Vec<Vec<usize>> {
        let mut parts: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (row, value) in self.columns[column].iter().enumerate() {
            parts.entry(value).or_default().push(row);
        }
        parts.into_values().collect()
    }

    /// Pools an analysis over the parts; `models` is the file after `study = …`.
    pub fn pool(&self, models: &str, parts: &[Vec<usize>]) -> BTreeMap<String, Estimate> {
        let plan = plan(&self.study, models);
        let sites = parts.iter().enumerate().map(|(i, rows)| (format!("S{i:02}"), self.site(rows)));
        let sites: Vec<(SiteId, SiteData)> =
            sites.map(|(code, data)| (SiteId::new(&code).unwrap(), data)).collect();
        estimates(&run(&plan, &sites, &plan.study.policy).0)
    }
}

fn study(dictionary: &str) -> Study {
    let head = "id = \"test\"\ntitle = \"Test\"\nsource = \"-\"\nsites = []\ndata = \"public\"\n[policy]\nmin_sites = 1\nmin_persons = 0\nmin_events = 0\nmin_cell = 0\nmax_parameters_per_event = 100.0\nmax_rounds = 200\n";
    Study::parse("study.toml", &format!("{head}{dictionary}")).unwrap_or_else(|e| panic!("{e}"))
}

/// A checked plan; `models` is the analysis file after `study = …`.
pub fn plan(study: &Study, models: &str) -> Plan {
    let text = format!(
        "id = \"test\"\ntitle = \"Test\"\nquestion = \"?\"\nstudy = \"{}\"\n{models}",
        study.id
    );
    Plan::check("analysis.toml", &text, study.clone()).unwrap_or_else(|e| panic!("{e}"))
}

/// A site's answers, straight from its data.
pub fn answers(
    plan: &Plan,
    data: &SiteData,
    round: usize,
    questions: &[Question],
    policy: &Policy,
) -> BTreeMap<String, Answer> {
    questions
        .iter()
        .map(|question| {
            let spec = plan.spec.models.iter().find(|m| m.id == question.model).unwrap();
            let model = models::find(&spec.kind).unwrap();
            let draft = model.summarise(&spec.options, &question.params, data).unwrap();
            let visibility = plan.visibility(&spec.id).unwrap();
            let answer = match release(draft, policy, visibility, round as u32) {
                Ok(summary) => Answer::Released { sha256: fingerprint(&summary), summary },
                Err(refusal) => Answer::Refused(refusal.public()),
            };
            (spec.id.clone(), answer)
        })
        .collect()
}

/// Runs a plan over sites in the order given; returns the run and its events.
pub fn run(plan: &Plan, sites: &[(SiteId, SiteData)], policy: &Policy) -> (Run, Vec<Event>) {
    let codes: BTreeSet<SiteId> = sites.iter().map(|(code, _)| code.clone()).collect();
    let (mut run, mut effects) = Run::open(&plan.hash, codes, plan.model_runs().unwrap());
    let mut events = Vec::new();
    while let Some(effect) = effects.pop() {
        let next = match effect {
            Effect::Ask { round, questions } => sites
                .iter()
                .map(|(site, data)| {
                    let answers = answers(plan, data, round, &questions, policy);
                    Event::Answered { site: site.clone(), round, answers }
                })
                .collect(),
            Effect::Advance { round } => {
                vec![hub::advance(&run, round, &plan.study.policy, &hub::Sums::new())]
            }
            Effect::Propose | Effect::Publish => Vec::new(),
        };
        for event in next {
            events.push(event.clone());
            effects.extend(run.apply(event).unwrap());
        }
    }
    assert_eq!(run.state, RunState::Done, "{:?}", run.state);
    (run, events)
}

/// What the columns of these tables say of themselves and their cells deny.
pub fn untrue_columns<'a>(tables: impl Iterator<Item = &'a Table>) -> Vec<String> {
    let mut untrue = Vec::new();
    for table in tables {
        for (c, field) in table.columns.iter().enumerate() {
            let cells = || table.rows.iter().map(|row| &row[c]);
            let is_text = field.unit == Unit::Text;
            let denied = cells().any(|cell| match cell {
                Value::None => false,
                Value::Number(_) => is_text,
                Value::Text(_) => !is_text,
            });
            let lost = field.is_limit() && field.of.is_none();
            if denied || lost {
                untrue.push(format!(
                    "{}.{}: {:?} {:?}",
                    table.name, field.name, field.role, field.unit
                ));
            }
        }
    }
    untrue
}

/// Estimates of a run by model id.
pub fn estimates(run: &Run) -> BTreeMap<String, Estimate> {
    let found: BTreeMap<String, Estimate> = run
        .models
        .iter()
        .map(|model| match &model.outcome {
            Some(Outcome::Estimate(estimate)) => (model.id.clone(), (**estimate).clone()),
            other => panic!("{}: {other:?}", model.id),
        })
        .collect();
    let untrue = untrue_columns(found.values().flat_map(|estimate| &estimate.tables));
    assert!(untrue.is_empty(), "{untrue:#?}");
    found
}

/// A number of a table: the row in which all of `keys` hold.
pub fn number(estimate: &Estimate, table: &str, keys: &[(&str, &str)], column: &str) -> f64 {
    let table = estimate.table(table).unwrap_or_else(|| panic!("no table {table}"));
    let fits = |row: &usize| {
        keys.iter().all(|(key, wanted)| match table.cell(*row, key).as_number() {
            Some(x) => (x - wanted.parse::<f64>().unwrap_or(f64::NAN)).abs() < 1e-9,
            None => table.text(*row, key) == *wanted,
        })
    };
    let row = (0..table.rows.len())
        .find(fits)
        .unwrap_or_else(|| panic!("no row {keys:?} in {}", table.name));
    table
        .number(row, column)
        .unwrap_or_else(|| panic!("no number in {column} of {keys:?}: {:?}", table.rows[row]))
}

/// Tolerances by kind of quantity, relative.
pub mod tol {
    /// Closed forms on sums: counts, products, O − E.
    pub const CLOSED: f64 = 1e-10;
    /// Maximum likelihood estimates, their errors and tests.
    pub const LIKELIHOOD: f64 = 1e-8;
}

/// Asserts that two numbers agree, relative to the wanted one (absolute below 1e-6).
pub fn close(found: f64, wanted: f64, tolerance: f64, what: &str) {
    let distance = (found - wanted).abs();
    assert!(
        distance <= tolerance * wanted.abs().max(1e-6),
        "{what}: found {found:.15}, expected {wanted:.15}"
    );
}
