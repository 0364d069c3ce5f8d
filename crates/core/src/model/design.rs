//! Columns of a regression: levels against a reference, quantities, splines and products, the same at every site.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_stats::spline::harrell;

use super::Context;
use crate::{
    cohort::{CohortError, ColumnNeed, Places, SiteData},
    spec::{Fault, VariableKind, suggestion},
};

/// One column of the design.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DesignTerm {
    /// Variable, or two variables of a product as `a:b`.
    pub variable: String,
    /// Level against the reference; none for a quantity.
    pub level: Option<String>,
    /// The reference.
    pub reference: Option<String>,
    /// Knots of a restricted cubic spline, and which of its columns this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spline: Option<SplineColumn>,
    /// Factors of a product.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub product: Vec<Self>,
    /// A parameter of the baseline or of the distribution, or an effect that varies with time: its exponential is no ratio of two
    /// patients.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub parameter: bool,
}

/// One column of a restricted cubic spline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SplineColumn {
    /// Knots, ascending.
    pub knots: Vec<f64>,
    /// 0 is the variable itself.
    pub column: usize,
}

/// What the analyst says about the columns.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    /// Covariates.
    pub covariates: &'a [String],
    /// Reference levels; the first level of the dictionary where absent.
    pub reference: &'a BTreeMap<String, String>,
    /// Knots of restricted cubic splines, by covariate.
    pub splines: &'a BTreeMap<String, Vec<f64>>,
    /// Pairs of covariates whose products are added.
    pub interactions: &'a [[String; 2]],
}

impl DesignTerm {
    /// A parameter that is no coefficient of a covariate.
    pub fn parameter(name: &str) -> Self {
        Self { parameter: true, ..Self::of(name) }
    }

    /// A column of a variable as it is.
    pub fn of(variable: &str) -> Self {
        let variable = variable.to_owned();
        Self {
            variable,
            level: None,
            reference: None,
            spline: None,
            product: Vec::new(),
            parameter: false,
        }
    }

    /// Whether exp(estimate) compares two patients. One column of a spline does not: all of them move together.
    pub fn has_ratio(&self) -> bool {
        !self.parameter && self.spline.is_none() && self.product.iter().all(Self::has_ratio)
    }

    /// Name in tables: `variable`, `variable=level`, `variable'` for the second column of a spline, `a:b` for a product.
    pub fn name(&self) -> String {
        if !self.product.is_empty() {
            let names: Vec<String> = self.product.iter().map(Self::name).collect();
            return names.join(":");
        }
        match (&self.level, &self.spline) {
            (Some(level), _) => format!("{}={level}", self.variable),
            (None, Some(spline)) => format!("{}{}", self.variable, "'".repeat(spline.column)),
            (None, None) => self.variable.clone(),
        }
    }

    /// Values for these rows.
    pub fn column(&self, data: &SiteData, rows: &[usize]) -> Result<Vec<f64>, CohortError> {
        if !self.product.is_empty() {
            let mut product = vec![1.0; rows.len()];
            for factor in &self.product {
                let column = factor.column(data, rows)?;
                product.iter_mut().zip(column).for_each(|(p, x)| *p *= x);
            }
            return Ok(product);
        }
        if let Some(level) = &self.level {
            let (codes, levels) = data.cohort.levels(&self.variable)?;
            let wanted = levels.iter().position(|l| l == level).map(|i| i as u32);
            let is_level = |&row: &usize| if codes[row] == wanted { 1.0 } else { 0.0 };
            return Ok(rows.iter().map(is_level).collect());
        }
        let x = data.cohort.numbers(&self.variable)?;
        Ok(match &self.spline {
            None => rows.iter().map(|&row| x[row]).collect(),
            Some(spline) => {
                rows.iter().map(|&row| harrell(x[row], &spline.knots)[spline.column]).collect()
            }
        })
    }

    fn needs(&self, found: &mut Vec<ColumnNeed>) {
        let name = &self.variable;
        match (&self.level, &self.spline) {
            _ if !self.product.is_empty() => {
                self.product.iter().for_each(|factor| factor.needs(found));
            }
            (Some(_), _) => found.push(ColumnNeed::levels(name)),
            (None, None) => found.push(ColumnNeed::number(name)),
            (None, Some(spline)) => {
                let knots = Places::Values(spline.knots.clone());
                found.push(ColumnNeed::parted(name, knots, format!("/splines/{name}")));
            }
        }
    }

    /// Value of the column for a patient with these values: numbers for quantities, levels for the rest.
    pub fn value(&self, patient: &BTreeMap<String, serde_json::Value>) -> Option<f64> {
        if !self.product.is_empty() {
            return self.product.iter().map(|factor| factor.value(patient)).product();
        }
        let given = patient.get(&self.variable);
        if let Some(level) = &self.level {
            let text = given.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
            return Some(if text.as_ref() == Some(level) { 1.0 } else { 0.0 });
        }
        let x = given?.as_f64()?;
        Some(match &self.spline {
            None => x,
            Some(spline) => harrell(x, &spline.knots)[spline.column],
        })
    }
}

/// Columns that the terms need.
pub fn needs_of(terms: &[DesignTerm]) -> Vec<ColumnNeed> {
    let mut needs = Vec::new();
    terms.iter().for_each(|term| term.needs(&mut needs));
    needs.dedup();
    needs
}

/// All columns for these rows.
pub fn columns_of(
    terms: &[DesignTerm],
    data: &SiteData,
    rows: &[usize],
) -> Result<Vec<Vec<f64>>, CohortError> {
    terms.iter().map(|term| term.column(data, rows)).collect()
}

impl Columns<'_> {
    /// The terms, checked against the dictionary.
    pub fn terms(&self, context: &Context<'_>, faults: &mut Vec<Fault>) -> Vec<DesignTerm> {
        use VariableKind::{Category, Days, Flag, Integer, Real};
        let mut terms = Vec::new();
        for (i, name) in self.covariates.iter().enumerate() {
            let at = format!("/covariates/{i}");
            if let Some(fault) = context.check(&at, name, &[Category, Flag, Integer, Real, Days]) {
                faults.push(fault);
                continue;
            }
            if self.covariates[..i].contains(name) {
                faults.push(Fault::new(&at, format!("`{name}` is listed twice")));
            }
            terms.extend(self.main(name, context, faults));
        }
        let named = self.reference.keys().map(|name| (format!("/reference/{name}"), name));
        let named = named.chain(self.splines.keys().map(|name| (format!("/splines/{name}"), name)));
        let strangers = covariate_faults(named, self.covariates, context);
        faults.extend(strangers.into_iter().map(Fault::at_key));
        for (i, pair) in self.interactions.iter().enumerate() {
            let [left, right] = pair;
            let of = |name: &String| {
                terms
                    .iter()
                    .filter(|t: &&DesignTerm| t.product.is_empty() && t.variable == *name)
                    .cloned()
                    .collect::<Vec<_>>()
            };
            let (a, b) = (of(left), of(right));
            // A covariate that has a fault is told there.
            let is_whole = self.covariates.iter().all(|c| context.dictionary.get(c).is_some());
            let named = [left, right].iter().all(|name| self.covariates.contains(name));
            if is_whole && (!named || left == right) {
                let message = format!(
                    "`{left}` and `{right}` are not two different covariates of this model"
                );
                let hint = "list both under covariates as well";
                faults.push(Fault::new(format!("/interactions/{i}"), message).hint(hint));
            }
            for x in &a {
                for y in &b {
                    let mut term = DesignTerm::of(&format!("{left}:{right}"));
                    term.product = vec![x.clone(), y.clone()];
                    terms.push(term);
                }
            }
        }
        terms
    }

    fn main(
        &self,
        name: &String,
        context: &Context<'_>,
        faults: &mut Vec<Fault>,
    ) -> Vec<DesignTerm> {
        let levels = context.levels(name);
        let Some(first) = levels.first() else {
            let Some(knots) = self.splines.get(name) else { return vec![DesignTerm::of(name)] };
            let ascending = knots.windows(2).all(|w| w[0] < w[1]);
            if knots.len() < 3 || !ascending {
                let at = format!("/splines/{name}");
                faults.push(Fault::new(at, "a spline needs at least 3 knots in ascending order"));
                return Vec::new();
            }
            let column = |column| DesignTerm {
                spline: Some(SplineColumn { knots: knots.clone(), column }),
                ..DesignTerm::of(name)
            };
            return (0..knots.len() - 1).map(column).collect();
        };
        if self.splines.contains_key(name) {
            let at = format!("/splines/{name}");
            faults.push(Fault::new(
                at,
                format!("`{name}` is categorical; splines apply to quantities only"),
            ));
        }
        let reference = self.reference.get(name).unwrap_or(first).clone();
        if !levels.contains(&reference) {
            let message = format!("`{reference}` is not a level of `{name}`");
            let fault = Fault::new(format!("/reference/{name}"), message);
            faults.push(fault.hint(suggestion(&reference, &levels)));
        }
        let term = |level: &String| DesignTerm {
            level: Some(level.clone()),
            reference: Some(reference.clone()),
            ..DesignTerm::of(name)
        };
        levels.iter().filter(|l| **l != reference).map(term).collect()
    }
}

/// Names, with their places among the options, that are no covariates. Where a covariate is itself no variable, its fault is told
/// and no other that follows from it.
pub fn covariate_faults<'a>(
    names: impl Iterator<Item = (String, &'a String)>,
    covariates: &[String],
    context: &Context<'_>,
) -> Vec<Fault> {
    if covariates.iter().any(|name| context.dictionary.get(name).is_none()) {
        return Vec::new();
    }
    let fault = |(at, name): (String, &String)| {
        let message = format!("`{name}` is not a covariate of this model");
        Fault::new(at, message).hint(suggestion(name, covariates))
    };
    names.filter(|(_, name)| !covariates.contains(name)).map(fault).collect()
}
