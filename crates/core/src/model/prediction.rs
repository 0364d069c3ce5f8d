//! Survival that a fitted regression predicts for described patients.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tributary_stats::distribution::normal_point;

use super::{Context, DesignTerm, Fitted, Start, covariate_faults};
use crate::{
    estimate::{Beginning, Number, Status, Table},
    rows,
    spec::{Fault, VariableKind},
};

rows! {
    /// Survival of one patient at one time.
    pub struct Predicted in "predicted" {
        pub patient: String,
        pub time_years: Number,
        pub estimate: Number as Share,
        pub std_error: Number as Share,
        pub conf_low: Number,
        pub conf_high: Number,
        pub status: Status,
    }
}

/// A patient whose survival is predicted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patient {
    /// Name in tables.
    pub name: String,
    /// Values of the covariates: levels, or numbers.
    #[serde(default)]
    pub values: BTreeMap<String, Json>,
}

/// Checks that every covariate has a value of its kind.
pub fn patient_faults(
    patients: &[Patient],
    covariates: &[String],
    context: &Context<'_>,
) -> Vec<Fault> {
    use VariableKind::{Category, Days, Flag, Integer, Real};
    let mut faults = Vec::new();
    for (i, patient) in patients.iter().enumerate() {
        for name in covariates {
            let at = format!("/patients/{i}/values");
            let kinds = [Category, Flag, Integer, Real, Days];
            let Ok(variable) = context.dictionary.usable(name, &kinds) else { continue };
            let levels = variable.model_levels();
            let wanted = if levels.is_empty() { "a number".into() } else { levels.join(", ") };
            let fits = patient.values.get(name).is_some_and(|value| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                if levels.is_empty() { value.is_number() } else { levels.contains(&text) }
            });
            if !fits {
                let message = format!("patient `{}` has no value of `{name}`", patient.name);
                faults.push(
                    Fault::new(format!("{at}/{name}"), message)
                        .hint(format!("`{name}` takes {wanted}")),
                );
            }
        }
        let named = patient.values.keys();
        let named = named.map(|name| (format!("/patients/{i}/values/{name}"), name));
        let strangers = covariate_faults(named, covariates, context);
        faults.extend(strangers.into_iter().map(Fault::at_key));
    }
    faults
}

/// Covariates of a patient, in the order of the terms.
pub fn values_of(patient: &Patient, design: &[DesignTerm]) -> Vec<f64> {
    design.iter().map(|term| term.value(&patient.values).unwrap_or(0.0)).collect()
}

/// Table `predicted`: survival with an interval symmetric in log(−log S). `log_hazard(θ, x, t)` is the log cumulative hazard of
/// covariates `x` at `t` years.
pub fn predicted(
    fitted: &Fitted,
    start: &Start,
    patients: &[Patient],
    design: &[DesignTerm],
    times_years: &[f64],
    level: f64,
    log_hazard: impl Fn(&[f64], &[f64], f64) -> f64,
) -> Table {
    let mut rows = Vec::new();
    let z = normal_point(level);
    for patient in patients {
        let x = values_of(patient, design);
        let beyond = start.is_beyond(&x);
        for &years in times_years {
            let of = |theta: &[f64]| log_hazard(theta, &x, years);
            let (log, se) = fitted.delta(of);
            let s = |log: f64| (-log.exp()).exp();
            let status = match () {
                // Nobody was like this patient in a covariate that was dropped.
                () if beyond => Status::NotIdentified,
                () if fitted.runs(of) => Status::Monotone,
                () if log.is_finite() => Status::Ok,
                () => Status::NotIdentified,
            };
            let known = status == Status::Ok;
            let numbers = [s(log), s(log) * log.exp() * se, s(log + z * se), s(log - z * se)];
            let [estimate, std_error, conf_low, conf_high] = numbers.map(|x| known.then_some(x));
            rows.push(Predicted {
                patient: patient.name.clone(),
                time_years: Some(years),
                estimate,
                std_error,
                conf_low,
                conf_high,
                status,
            });
        }
    }
    Table::of(rows).drawn(&["patient"], false, Some(Beginning::One))
}
