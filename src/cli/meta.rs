//! `tributary meta`: meta-analysis of study results that are already public.

use std::fs;

use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::{Map, json};

use super::Ending;
use crate::{
    estimate::{Estimate, Status, Table, Value},
    limits::ConfidenceLevel,
    meta::{
        Covariances, Dataset, Method, Options, Pooled, Prediction, TestRule, analyse,
        dose::{self, Doses},
        text_of,
    },
    report::table_csv,
    stats::{
        bayes_random_effects::TauPrior,
        effect_size::{AddTo, Correction, Measure, effect},
        multivariate_meta::Structure,
    },
};

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns.
    Text,
    /// All tables at full precision.
    Json,
    /// The pooled effects as comma-separated text.
    Csv,
}

/// To which studies a continuity correction is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum To {
    /// None
    None,
    /// Studies with a zero cell
    Only0,
    /// All studies
    All,
}

/// Limits of prediction intervals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PredictionLimits {
    /// By t with k − 1 degrees of freedom, whatever the test
    TK1,
    /// As the test of the average has them: normal with z, else by t with k − 1 degrees of freedom, as metafor
    AsTest,
}

/// Family of the prior of τ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Prior {
    /// Half-normal
    HalfNormal,
    /// Half-Cauchy
    HalfCauchy,
}

/// Names of the measures.
const MEASURES: [(&str, Measure); 14] = [
    ("OR", Measure::OddsRatio),
    ("RR", Measure::RiskRatio),
    ("RD", Measure::RiskDifference),
    ("PETO", Measure::Peto),
    ("AS", Measure::ArcsineDifference),
    ("IRR", Measure::RateRatio),
    ("IRD", Measure::RateDifference),
    ("PLO", Measure::Logit),
    ("PR", Measure::Proportion),
    ("PLN", Measure::LogProportion),
    ("PAS", Measure::Arcsine),
    ("PFT", Measure::DoubleArcsine),
    ("GEN", Measure::Generic),
    ("HR", Measure::HazardRatio),
];

#[derive(Debug, clap::Args)]
#[command(allow_negative_numbers = true)]
pub(super) struct MetaArguments {
    /// Comma-separated file whose columns determine the type of data: study with events1,n1,events2,n2 | events1,time1,events2,time2 |
    /// events,n | estimate,std_error; further columns may serve as moderators
    data: std::path::PathBuf,
    /// Effect measure: OR RR RD PETO AS IRR IRD PLO PR PLN PAS PFT GEN HR (log hazard ratios); [default: the usual one for the data]
    #[arg(long, ignore_case = true)]
    measure: Option<String>,
    /// Methods: EE MH PETO EXACT DL GENQ HE HS SJ ML REML PM PMM EB GLMM-UM.FS GLMM-UM.RS GLMM-CM.EL GLMM-CM.AL BETABIN BAYES [default: models of
    /// counts where a cell is zero, BAYES for two to four studies (with REML from three on), otherwise REML]
    #[arg(long, value_delimiter = ',')]
    method: Vec<String>,
    /// Intervals: z t hksj hksj-floor; hksj-floor if absent, z for two studies and for EE. They apply to EE, GENQ and the estimators of the
    /// between-study variance; MH, PETO and BETABIN have normal limits, the others limits of their own. The first method and test are those
    /// of single studies, subgroups and moderators too
    #[arg(long, value_delimiter = ',')]
    test: Vec<String>,
    /// Prediction intervals
    #[arg(long)]
    prediction: Option<PredictionLimits>,
    /// What is added to cells of the studies that --to names; 0.5 if absent, but AS, PAS and PFT, which exist with empty cells, need it
    /// said. It is for the studies' own effects: methods that take the counts themselves (MH, PETO, EXACT, GLMM, BETABIN) take them as they are
    #[arg(long, requires = "to")]
    add: Option<f64>,
    /// To which studies it is added [default: none]
    #[arg(long)]
    to: Option<To>,
    /// Columns with moderators
    #[arg(long, value_delimiter = ',')]
    moderators: Vec<String>,
    /// Column that defines subgroups
    #[arg(long)]
    subgroup: Option<String>,
    /// Column that defines clusters, for a robust variance
    #[arg(long)]
    cluster: Option<String>,
    /// Column that orders the cumulative meta-analysis, such as year
    #[arg(long)]
    order: Option<String>,
    /// Column with weights, for GENQ
    #[arg(long)]
    weights: Option<String>,
    /// Column of outcomes: studies with several are pooled together (REML, or ML if it is named), one line per study and outcome
    #[arg(long, conflicts_with_all = ["moderators", "subgroup", "cluster", "order", "permutations", "weights"])]
    outcome: Option<String>,
    /// Correlation of the errors of two outcomes of a study, the same in all studies; 0.5 if absent
    #[arg(long, requires = "outcome")]
    correlation: Option<f64>,
    /// Covariances of these errors by study, in place of one correlation: comma-separated file with study, outcome, with, covariance, a
    /// line for each pair of outcomes of a study
    #[arg(long, value_name = "FILE", requires = "outcome", conflicts_with = "correlation")]
    covariance: Option<std::path::PathBuf>,
    /// Between-study covariance of outcomes: UN unstructured, CS compound symmetric, DIAG no correlation, NONE; UN if absent
    #[arg(long, ignore_case = true, requires = "outcome")]
    structure: Option<String>,
    /// Column of doses: ratios by dose (study, cases, n or time, estimate and std_error on the log scale; both empty for each study's
    /// reference group; design cc, ci or ir where the columns do not say) are pooled as slopes per unit of dose
    #[arg(long, conflicts_with_all = ["outcome", "moderators", "subgroup", "cluster", "order", "weights", "to"])]
    dose: Option<String>,
    /// Knots of a spline of dose, fitted as well as the line: 3 to 5
    #[arg(long, requires = "dose", value_parser = clap::value_parser!(u64).range(3..=5))]
    knots: Option<u64>,
    /// Number of permutations for p-values, up to a million; up to 16 studies, all sign changes are enumerated
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    permutations: u32,
    /// Seed of the permutations; 1 if absent
    #[arg(long, requires = "permutations")]
    seed: Option<u64>,
    /// Prior of the standard deviation between studies, for BAYES; half-normal if absent
    #[arg(long)]
    prior: Option<Prior>,
    /// Scale of the prior; 0.5 if absent
    #[arg(long)]
    prior_scale: Option<f64>,
    /// Quadrature points of models of counts (GLMM); 1 is Laplace's approximation, 21 if absent
    #[arg(long)]
    nodes: Option<usize>,
    /// Confidence level
    #[arg(long, default_value_t)]
    level: ConfidenceLevel,
    /// Format of the printed result
    #[arg(long, default_value = "text")]
    format: Format,
    /// Title of the report [default: the name of the file]
    #[cfg_attr(feature = "hub", arg(long, requires = "out"))]
    #[cfg_attr(not(feature = "hub"), arg(long))]
    title: Option<String>,
    /// Question that the report answers
    #[cfg_attr(feature = "hub", arg(long, requires = "out"))]
    #[cfg_attr(not(feature = "hub"), arg(long))]
    question: Option<String>,
    /// Folder for the full report
    #[cfg(feature = "hub")]
    #[arg(long)]
    out: Option<std::path::PathBuf>,
    #[cfg(feature = "hub")]
    #[command(flatten)]
    force: super::arguments::Force,
    #[cfg(feature = "hub")]
    #[command(flatten)]
    when: super::arguments::When,
}

/// Looks a word up among names, ignoring case.
fn named<T: Copy>(what: &str, word: &str, names: &[(&str, T)]) -> anyhow::Result<T> {
    let found = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
    let Some((_, value)) = found else {
        let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
        bail!("unknown {what} `{word}`; expected one of {}", known.join(", "));
    };
    Ok(*value)
}

fn read(path: &std::path::Path) -> anyhow::Result<String> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    text_of(&bytes).with_context(|| path.display().to_string())
}

pub(super) fn meta(arguments: &MetaArguments) -> anyhow::Result<Ending> {
    let path = &arguments.data;
    let text = read(path)?;
    let in_file = || path.display().to_string();
    let doses = arguments.dose.as_ref().map(|column| Doses::parse(&text, column)).transpose();
    let doses = doses.with_context(in_file)?;
    let data = match &doses {
        Some(doses) => doses.slopes(),
        None => Dataset::parse(&text),
    };
    let data = data.with_context(in_file)?;
    let options = options(arguments, &data)?;
    let mut estimate = analyse(&data, &options).with_context(in_file)?;
    if let Some(doses) = &doses {
        dose::add(doses, &options, arguments.knots.map(|n| n as usize), &mut estimate);
    }
    #[cfg(feature = "hub")]
    if let Some(out) = &arguments.out {
        let to = super::arguments::Destination { out: out.clone(), force: arguments.force };
        let folder = super::results_folder::ResultsFolder::open(&to)?;
        let results = results(arguments, &text, &data, &options, &estimate);
        folder.write(&results)?;
    }
    print(arguments.format, &estimate)?;
    if estimate.status != Status::Ok {
        return Ok(Ending::Look);
    }
    Ok(Ending::Done)
}

fn options(arguments: &MetaArguments, data: &Dataset) -> anyhow::Result<Options> {
    let measure = match &arguments.measure {
        Some(word) => named("measure", word, &MEASURES)?,
        None => data.kind.measures()[0],
    };
    let methods = Method::ALL.map(|m| (m.word(), m));
    let tests = TestRule::ALL.map(|t| (t.word(), t));
    let scale = arguments.prior_scale.unwrap_or(0.5);
    if !(scale > 0.0 && scale.is_finite()) {
        bail!("--prior-scale is {scale}, expected a number above 0");
    }
    if let Some(nodes) = arguments.nodes.filter(|nodes| !(1..=201).contains(nodes)) {
        bail!("--nodes is {nodes}, expected 1 to 201");
    }
    let usual = Options::new(measure);
    let correlation = arguments.correlation.unwrap_or(usual.correlation);
    if !(-1.0 < correlation && correlation < 1.0) {
        bail!("--correlation is {correlation}, expected a number between -1 and 1");
    }
    let covariances = match &arguments.covariance {
        None => None,
        Some(path) => {
            Some(Covariances::parse(&read(path)?).with_context(|| path.display().to_string())?)
        }
    };
    let structures = [
        ("UN", Structure::Unstructured),
        ("CS", Structure::CompoundSymmetric),
        ("DIAG", Structure::Diagonal),
        ("NONE", Structure::Common),
    ];
    let family = arguments.prior.unwrap_or(Prior::HalfNormal);
    let prior = match family {
        Prior::HalfNormal => TauPrior::HalfNormal(scale),
        Prior::HalfCauchy => TauPrior::HalfCauchy(scale),
    };
    let correction = correction(arguments, measure)?;
    Ok(Options {
        measure,
        methods: arguments
            .method
            .iter()
            .map(|w| named("method", w, &methods))
            .collect::<Result<_, _>>()?,
        tests: arguments.test.iter().map(|w| named("test", w, &tests)).collect::<Result<_, _>>()?,
        correction,
        level: arguments.level.share(),
        moderators: arguments.moderators.clone(),
        subgroup: arguments.subgroup.clone(),
        cluster: arguments.cluster.clone(),
        order: arguments.order.clone(),
        permutations: arguments.permutations as usize,
        seed: arguments.seed.unwrap_or(usual.seed),
        weights: weights(arguments, data, measure, correction)?,
        outcome: arguments.outcome.clone(),
        correlation,
        covariances,
        structure: named("structure", arguments.structure.as_deref().unwrap_or("UN"), &structures)?,
        prior: (arguments.prior.is_some() || arguments.prior_scale.is_some()).then_some(prior),
        nodes: arguments.nodes,
        prediction: match arguments.prediction {
            Some(PredictionLimits::AsTest) => Prediction::AsTest,
            Some(PredictionLimits::TK1) | None => Prediction::TK1,
        },
    })
}

/// Weights of the studies that have an effect.
fn weights(
    arguments: &MetaArguments,
    data: &Dataset,
    measure: Measure,
    correction: Correction,
) -> anyhow::Result<Vec<f64>> {
    let Some(name) = &arguments.weights else { return Ok(Vec::new()) };
    let cells = data.column(name)?;
    let mut found = Vec::new();
    for (line, ((_, study), cell)) in data.lines.iter().zip(data.studies.iter().zip(cells)) {
        if effect(measure, study, correction).is_none() {
            continue;
        }
        match cell.parse::<f64>() {
            Ok(weight) if weight > 0.0 && weight.is_finite() => found.push(weight),
            _ => {
                bail!("line {line}, column `{name}`: found `{cell}`, expected a weight above 0")
            }
        }
    }
    Ok(found)
}

fn correction(arguments: &MetaArguments, measure: Measure) -> anyhow::Result<Correction> {
    let add = arguments.add.unwrap_or(0.5);
    if !(add >= 0.0 && add.is_finite()) {
        bail!("--add is {add}, wanted a number of 0 or more");
    }
    let to = match arguments.to {
        Some(To::Only0) => AddTo::OnlyZero,
        Some(To::All) => AddTo::All,
        Some(To::None) | None => AddTo::None,
    };
    if to == AddTo::None && arguments.add.is_some() {
        bail!("--add has no effect with --to none; write --to only0 or --to all");
    }
    let is_arcsine =
        matches!(measure, Measure::ArcsineDifference | Measure::Arcsine | Measure::DoubleArcsine);
    if is_arcsine && to != AddTo::None && arguments.add.is_none() {
        bail!(
            "--to has no effect here: AS, PAS and PFT exist with empty cells, so that nothing is added unless --add says what; leave --to \
             out, or write --add 0.5"
        );
    }
    Ok(Correction { add: if to == AddTo::None { 0.0 } else { add }, to })
}

/// Tables that are printed beside `pooled`; the rest are in the JSON and the report.
const PRINTED: [&str; 20] = [
    "outcomes",
    "between_studies",
    "fit",
    "pooled",
    "stages",
    "dose_response",
    "dose_spline",
    "study_slopes",
    "posterior",
    "heterogeneity",
    "tau2_intervals",
    "tau2_test",
    "beta_binomial",
    "coefficients",
    "regression",
    "subgroups",
    "between_subgroups",
    "asymmetry",
    "trim_and_fill",
    "studies",
];

fn print(format: Format, estimate: &Estimate) -> anyhow::Result<()> {
    match format {
        Format::Json => {
            let value = |v: &Value| match v {
                Value::Number(x) => json!(x),
                Value::Text(t) => json!(t),
                Value::None => serde_json::Value::Null,
            };
            let rows = |table: &Table| -> serde_json::Value {
                let row = |r: &Vec<Value>| -> serde_json::Value {
                    table
                        .columns
                        .iter()
                        .map(|c| c.name.clone())
                        .zip(r.iter().map(value))
                        .collect::<Map<_, _>>()
                        .into()
                };
                table.rows.iter().map(row).collect::<Vec<_>>().into()
            };
            let mut whole = Map::new();
            let mut diagnostics = Map::new();
            for table in &estimate.tables {
                let top = ["pooled", "studies", "heterogeneity"].contains(&table.name.as_str());
                let place = if top { &mut whole } else { &mut diagnostics };
                place.insert(table.name.clone(), rows(table));
            }
            whole.insert("diagnostics".into(), diagnostics.into());
            let notices: Vec<serde_json::Value> = estimate
                .notices
                .iter()
                .map(|n| json!({ "status": n.status, "key": n.key, "values": n.values }))
                .collect();
            whole.insert("notices".into(), notices.into());
            say!("{}", serde_json::to_string_pretty(&whole)?);
        }
        Format::Csv => {
            if let Some(table) = estimate.table_of::<Pooled>() {
                say!("{}", String::from_utf8(table_csv(table))?.trim_end());
            }
        }
        Format::Text => {
            for name in PRINTED {
                if let Some(table) = estimate.table(name) {
                    print_table(table);
                }
            }
            for notice in &estimate.notices {
                let values: Vec<String> =
                    notice.values.iter().map(|(k, v)| format!("{k} {v}")).collect();
                say!("note: {} ({}) {}", notice.key, notice.status.word(), values.join(", "));
            }
        }
    }
    Ok(())
}

fn print_table(table: &Table) {
    let cell = |v: &Value| match v {
        Value::Number(x) if x.fract() == 0.0 && x.abs() < 1e6 => format!("{x:.0}"),
        Value::Number(x) if x.abs() >= 1e5 || (*x != 0.0 && x.abs() < 1e-4) => format!("{x:.3e}"),
        Value::Number(x) => format!("{x:.4}"),
        Value::Text(t) => t.clone(),
        Value::None => String::new(),
    };
    // Columns without anything are left out.
    let used: Vec<usize> = (0..table.columns.len())
        .filter(|&i| table.rows.iter().any(|r| !matches!(r[i], Value::None)))
        .collect();
    let mut lines = vec![used.iter().map(|&i| table.columns[i].name.clone()).collect::<Vec<_>>()];
    lines.extend(table.rows.iter().map(|r| used.iter().map(|&i| cell(&r[i])).collect::<Vec<_>>()));
    let width = |c: usize| lines.iter().map(|l| l[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..used.len()).map(width).collect();
    let is_text = |c: usize| table.rows.iter().any(|r| matches!(r[used[c]], Value::Text(_)));
    say!("{}", table.name);
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .enumerate()
            .map(|(c, text)| {
                let pad = " ".repeat(widths[c].saturating_sub(text.chars().count()));
                if is_text(c) { format!("{text}{pad}") } else { format!("{pad}{text}") }
            })
            .collect();
        say!("  {}", cells.join("  ").trim_end());
    }
    say!("");
}

/// The same as results of a run, for the report.
#[cfg(feature = "hub")]
fn results(
    arguments: &MetaArguments,
    text: &str,
    data: &Dataset,
    options: &Options,
    estimate: &Estimate,
) -> crate::results::Results {
    let path = &arguments.data;
    let name = path.file_stem().map_or_else(|| "meta".into(), |n| n.to_string_lossy().into_owned());
    let measure = MEASURES.iter().find(|(_, m)| *m == options.measure).map_or("", |m| m.0);
    let level = serde_json::json!({ "measure": measure, "confidence_level": options.level });
    let file = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let studies: std::collections::BTreeSet<&str> =
        data.studies.iter().map(|(name, _)| name.as_str()).collect();
    // Studies with several outcomes have several lines; without names of their own, lines are studies.
    let n = if options.outcome.is_some() { studies.len() } else { data.studies.len() };
    let question = format!("{n} studies, {}", data.kind.words());
    crate::results::Results::of_published(
        arguments.title.as_deref().unwrap_or(&name),
        arguments.question.as_deref().unwrap_or(&question),
        &file,
        &crate::plan::fingerprint(&text),
        ("meta", level, estimate.clone()),
        arguments.when.date.unwrap_or_else(|| jiff::Zoned::now().date()),
    )
}
