//! Who a patient is for a life table: sex, age and the day on which follow-up starts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_stats::life_table::{AGE_YEAR, BOTH, Person};

use super::Context;
use crate::{
    cohort::{CohortError, ColumnNeed, SiteData, Survival, sex_position},
    spec::{Fault, VariableKind},
};

/// Variables with which expected mortality is looked up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Background {
    /// Sex: levels `1` and `2`, or `male` and `female`; the mean of both where absent.
    #[serde(default)]
    pub sex: Option<String>,
    /// Age at the start of follow-up: in days (type `days`), or in the dictionary's unit, months or years.
    pub age: String,
    /// Day on which follow-up starts.
    pub date: String,
    /// Days in a unit of age; from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    pub age_unit: f64,
}

impl Background {
    /// All days of each patient's follow-up.
    pub const WHOLE: [i32; 2] = [0, i32::MAX];

    /// Checks the names; `at` is the place of this table among the options.
    pub fn prepare(&mut self, at: &str, context: &Context<'_>) -> Vec<Fault> {
        use VariableKind::{Date, Days, Integer, Real};
        let checks = [
            self.sex.as_ref().and_then(|sex| context.check_levels(&format!("{at}/sex"), sex)),
            context.check(&format!("{at}/age"), &self.age, &[Days, Integer, Real]),
            context.check(&format!("{at}/date"), &self.date, &[Date]),
        ];
        let mut faults: Vec<Fault> = checks.into_iter().flatten().collect();
        let age = context.dictionary.get(&self.age);
        self.age_unit = match age.map(|v| (v.kind, v.unit.as_deref())) {
            Some((Days, _)) => 1.0,
            Some((_, Some("months"))) => context.year.days() / 12.0,
            _ => context.year.days(),
        };
        let name = self.sex.clone().unwrap_or_default();
        let levels = context.levels(&name);
        if let Some(level) = levels.iter().find(|level| sex_position(level).is_none()) {
            let message = format!("level `{level}` of `{name}` is not a sex in life tables");
            let hint = "levels are 1 and 2, m and f, or male and female; exclude others under [population]";
            faults.push(Fault::new(format!("{at}/sex"), message).hint(hint));
        }
        faults
    }

    /// Columns it needs.
    pub fn needs(&self) -> Vec<ColumnNeed> {
        let mut needs = vec![ColumnNeed::number(&self.age), ColumnNeed::number(&self.date)];
        needs.extend(self.sex.iter().map(ColumnNeed::levels));
        needs
    }

    /// Names that may not be missing in a row.
    pub fn names(&self) -> Vec<&str> {
        let sex = self.sex.iter().map(String::as_str);
        [self.age.as_str(), self.date.as_str()].into_iter().chain(sex).collect()
    }

    /// The persons of the rows of `survival`, who are looked up in `table` over their follow-up, of which it takes
    /// no fewer and no more than `days`.
    pub fn persons(
        &self,
        data: &SiteData,
        survival: &Survival,
        table: &'static str,
        days: [i32; 2],
    ) -> Result<Vec<Person>, CohortError> {
        let persons = self.of_rows(data, &survival.rows)?;
        let [fewest, most] = days;
        let followed = persons.iter().zip(&survival.exit).map(|(person, exit)| {
            [person.start, person.start + (*exit).max(fewest).min(most).max(1)]
        });
        data.tables.check_gaps(table, followed)?;
        Ok(persons)
    }

    fn of_rows(&self, data: &SiteData, rows: &[usize]) -> Result<Vec<Person>, CohortError> {
        let coded = self.sex.as_ref().map(|name| data.cohort.levels(name)).transpose()?;
        let age = data.cohort.numbers(&self.age)?;
        let date = data.cohort.days(&self.date)?;
        let lookup = |name: &str, reason: &str| CohortError::Lookup {
            name: name.to_owned(),
            reason: reason.to_owned(),
        };
        rows.iter()
            .map(|&row| {
                let sex = match &coded {
                    None => Some(BOTH),
                    Some((codes, levels)) => {
                        codes[row].and_then(|c| sex_position(&levels[c as usize]))
                    }
                };
                let sex = sex.ok_or_else(|| {
                    lookup(self.sex.as_deref().unwrap_or_default(), "a row has no sex")
                })?;
                let age_days = age[row] * self.age_unit;
                if !(0.0..=150.0 * AGE_YEAR).contains(&age_days) {
                    return Err(lookup(&self.age, "an age lies outside 0 to 150 years"));
                }
                let start = date[row].ok_or_else(|| lookup(&self.date, "a row has no date"))?;
                Ok(Person { sex, age_days, start })
            })
            .collect()
    }
}
