//! Disclosure rules. A study sets them, a site may only tighten them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rules that an answer must meet before it leaves a site.
///
/// Cells and fits that others can read (visibility `each-site`) are guarded here, at the site. Under the seal nobody reads a
/// site's part, so small sites keep contributing and the floors apply to the pooled cells that are shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Smallest count of persons that may be shown; smaller ones are hidden.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub min_cell: u64,
    /// Whether a count of 0 may be shown.
    pub zero_is_safe: bool,
    /// Hide a second cell wherever one hidden cell could be had back from a total.
    pub complementary: bool,
    /// Fewest persons behind a model fitted at the site whose estimates are visible.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub min_persons: u64,
    /// Fewest events behind a model fitted at the site whose estimates are visible.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub min_events: u64,
    /// Most parameters per event of a model fitted at the site whose estimates are visible.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_parameters_per_event: f64,
    /// Fewest persons behind an answer that only enters a sum.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub min_persons_in_sum: u64,
    /// Most rounds of one model; each is a release.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_rounds: u32,
    /// Fewest sites in a pooled sum.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub min_sites: u32,
    /// Whether answers visible per site may leave at all.
    pub each_site: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_cell: 5,
            zero_is_safe: true,
            complementary: true,
            min_persons: 30,
            min_events: 10,
            max_parameters_per_event: 0.25,
            min_persons_in_sum: 0,
            max_rounds: 40,
            min_sites: 3,
            each_site: true,
        }
    }
}

impl Policy {
    /// The stricter of two policies, rule by rule: releases a subset of what either releases.
    #[must_use]
    pub fn stricter(&self, own: &Self) -> Self {
        Self {
            min_cell: self.min_cell.max(own.min_cell),
            zero_is_safe: self.zero_is_safe && own.zero_is_safe,
            complementary: self.complementary || own.complementary,
            min_persons: self.min_persons.max(own.min_persons),
            min_events: self.min_events.max(own.min_events),
            max_parameters_per_event: self
                .max_parameters_per_event
                .min(own.max_parameters_per_event),
            min_persons_in_sum: self.min_persons_in_sum.max(own.min_persons_in_sum),
            max_rounds: self.max_rounds.min(own.max_rounds),
            min_sites: self.min_sites.max(own.min_sites),
            each_site: self.each_site && own.each_site,
        }
    }

    /// A policy that adds nothing of its own: the neutral element of [`Policy::stricter`].
    pub fn open() -> Self {
        Self {
            min_cell: 0,
            zero_is_safe: true,
            complementary: false,
            min_persons: 0,
            min_events: 0,
            max_parameters_per_event: f64::MAX,
            min_persons_in_sum: 0,
            max_rounds: u32::MAX,
            min_sites: 0,
            each_site: true,
        }
    }
}

/// Why a preset cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No preset of that name.
    #[error("there is no preset `{name}`; presets: {known}")]
    Unknown {
        /// Name asked for.
        name: String,
        /// Names there are.
        known: String,
    },
    /// The preset asks for something that is not applied here.
    #[error(
        "preset `{name}` asks for `{rule}`, which is not applied here; write the rules you need under [policy]"
    )]
    NotApplied {
        /// Preset.
        name: String,
        /// Rule.
        rule: String,
    },
}

/// Usual numbers of jurisdictions and custodians: starting points for a data-protection officer, not legal advice.
const PRESETS: &str = include_str!("presets.toml");

/// What a preset says, as far as it is applied. The other keys describe rules for other kinds of release (rates, areas,
/// calendar time) and are listed in the file with their sources.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Preset {
    inherits: Option<String>,
    min_cell: Option<u64>,
    zero_is_safe: Option<bool>,
    complementary: Option<bool>,
    model_min_n: Option<u64>,
    model_min_events: Option<u64>,
    model_max_params_per_events: Option<f64>,
    round_base: Option<u64>,
    survival_round: Option<String>,
}

fn presets() -> BTreeMap<String, Preset> {
    // Unwrap safety: the file is part of the program and a test parses it.
    toml::from_str(PRESETS).expect("presets.toml parses")
}

/// Names of all presets.
pub fn preset_names() -> Vec<String> {
    presets().into_keys().collect()
}

/// The policy of the preset called `name`; rules that it leaves open add nothing.
pub fn preset(name: &str) -> Result<Policy, PolicyError> {
    let presets = presets();
    let Some(found) = presets.get(name) else {
        let known = presets.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(PolicyError::Unknown { name: name.to_owned(), known });
    };
    let not_applied =
        |rule: &str| PolicyError::NotApplied { name: name.to_owned(), rule: rule.to_owned() };
    if found.round_base.is_some_and(|base| base > 0) {
        return Err(not_applied("round_base"));
    }
    if found.survival_round.is_some() {
        return Err(not_applied("survival_round"));
    }
    let inherited = found.inherits.as_deref().map_or_else(|| Ok(Policy::open()), preset)?;
    let open = Policy::open();
    let own = Policy {
        min_cell: found.min_cell.unwrap_or(open.min_cell),
        zero_is_safe: found.zero_is_safe.unwrap_or(open.zero_is_safe),
        complementary: found.complementary.unwrap_or(open.complementary),
        min_persons: found.model_min_n.unwrap_or(open.min_persons),
        min_events: found.model_min_events.unwrap_or(open.min_events),
        max_parameters_per_event: found
            .model_max_params_per_events
            .unwrap_or(open.max_parameters_per_event),
        ..open
    };
    Ok(inherited.stricter(&own))
}

/// Keys of a preset that say what it is, and those of rules that nothing can break here: minima and maxima are never sent.
const DESCRIBED: [&str; 5] = ["status", "note", "inherits", "approvals", "extremes"];
/// Keys of a preset that are applied; the last two are refused where they ask for something.
const APPLIED: [&str; 8] = [
    "min_cell",
    "zero_is_safe",
    "complementary",
    "model_min_n",
    "model_min_events",
    "model_max_params_per_events",
    "round_base",
    "survival_round",
];

/// Rules of the preset called `name`, and of those that it inherits from, that are not applied: the site sees to them itself.
pub fn rules_not_applied(name: &str) -> Vec<String> {
    // Unwrap safety: the file is part of the program and a test parses it.
    let presets: BTreeMap<String, toml::Table> =
        toml::from_str(PRESETS).expect("presets.toml parses");
    let mut rules = Vec::new();
    let mut next = presets.get(name);
    while let Some(preset) = next {
        let known =
            |key: &&String| DESCRIBED.contains(&key.as_str()) || APPLIED.contains(&key.as_str());
        rules.extend(preset.keys().filter(|key| !known(key)).cloned());
        next = preset.get("inherits").and_then(|v| v.as_str()).and_then(|name| presets.get(name));
    }
    rules.sort();
    rules.dedup();
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_a_policy_or_says_which_rule_is_not_applied() {
        for name in preset_names() {
            match preset(&name) {
                Ok(policy) => assert!(policy.stricter(&Policy::open()) == policy, "{name}"),
                Err(error) => {
                    assert!(matches!(error, PolicyError::NotApplied { .. }), "{name}: {error}");
                }
            }
        }
        assert_eq!(preset("FR-RNCE").unwrap().min_cell, 11);
        assert!(preset("FR").unwrap_err().to_string().contains("FR-SNDS"));
    }
}
