//! Relative and net survival with life tables: Pohar Perme, Ederer I and II, Hakulinen.
//!
//! *Estimates* survival from the disease as if it were the only cause of death, by group, age-standardised on request; crude
//! probabilities of death. *A site sends*, by cell of the time grid, its event table, person-time and sums of expected
//! mortality: each patient's background hazard is looked up in the country's own life table at the site. *Sums*: cell by cell.
//! *The hub* forms the estimates. *Differs from pooling rows*: not at all on the daily grid. *Not done*: covariates in the
//! weights. *Sources*: Pohar Perme, Stare & Estève (2012); Ederer, Axtell & Cutler (1961); Hakulinen (1982); Brenner et al.
//! (2004) for weighted patients; Cronin & Feuer (2000); Grafféo et al. (2016).

mod options;
mod result;

pub use self::options::Options;
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Places, SiteData, epoch_day},
    estimate::Estimate,
    model::{Context, EventCounts, Exchanges, ModelCard, OneRound, Sums},
    spec::Fault,
    summary::{Axis, LayoutError},
};
use tributary_stats::{
    event_table::{Rows, event_table},
    life_table::{Course, net_sums},
};

use self::{options::Method, result::result};

/// The model.
#[derive(Debug)]
pub struct NetSurvival;

static CARD: ModelCard = ModelCard {
    kind: "net_survival",
    title: "Net survival",
    estimates: "net or relative survival by group, age-standardised on request; crude probabilities of death; a test between groups",
    sends: "by cell of the time grid: events, censorings, person-time and sums of expected mortality over those at risk",
    pools: "cells are summed; the hub computes the Pohar Perme, Ederer or Hakulinen estimate from the sums",
    differs: "none on the daily grid, which has a step every day as the definition asks (relsurv: a step where somebody leaves, unless add.times names every day); on a coarse grid it is the hazard form exp(−Σ h (D − E) / Y)",
    not_done: "weights that depend on covariates beyond age",
    exchanges: Exchanges::One,
    sources: "Pohar Perme, Stare & Estève 2012; Ederer, Axtell & Cutler 1961; Hakulinen 1982; Brenner et al. 2004; Cronin & Feuer 2000; Grafféo et al. 2016",
    example: "id = \"net\"\nkind = \"net_survival\"\nbackground = { age = \"age_months\", date = \"incidence_date\" }\ntimes_years = [1, 5]\n",
};

impl Options {
    /// Age band of an age in days.
    fn band(&self, age_days: f64) -> usize {
        let years = age_days / self.followup.year.days() + 1e-9;
        self.bands.partition_point(|from| *from <= years).saturating_sub(1)
    }

    /// Labels of groups and age bands, bands fastest.
    fn labels(&self) -> Vec<String> {
        let band = |i: usize| if self.bands.len() > 1 { format!("|{i}") } else { String::new() };
        let of = |g: &String| {
            (0..self.bands.len()).map(|i| format!("{g}{}", band(i))).collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(of).collect()
    }
}

impl OneRound for NetSurvival {
    type Options = Options;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut options.followup);
        if !faults.is_empty() {
            return faults;
        }
        faults.extend(context.horizon(&mut options.horizon_days, &options.followup));
        faults.extend(options.background.prepare("/background", context));
        faults.extend(context.groups(options.by.as_deref(), &mut options.groups));
        faults.extend(options.check_standard());
        let horizon = f64::from(options.horizon_days.unwrap_or(0));
        for (i, t) in options.times_years.iter().enumerate() {
            if *t <= 0.0 || (t * options.followup.year.days()).round() > horizon {
                let message = format!("{t} years is not between 0 and {horizon} days");
                let hint = "report earlier times, or increase horizon_days";
                faults.push(Fault::new(format!("/times_years/{i}"), message).hint(hint));
            }
        }
        let coarse = options.grid_days > 1.0;
        for (i, t) in options.times_years.iter().enumerate().filter(|_| coarse) {
            let (days, width) = ((t * options.followup.year.days()).round(), options.grid_days);
            let end = (days / width).round().max(1.0) * width;
            if (end - days).abs() > 0.5 {
                let message = format!(
                    "{t} years is {days} days, which is not the end of a cell of {width} days"
                );
                let hint = format!(
                    "report {:.4} years, or choose a grid_days that divides this time",
                    end / options.followup.year.days()
                );
                faults.push(Fault::new(format!("/times_years/{i}"), message).hint(hint));
            }
        }
        if coarse && (options.crude_probabilities || options.test) {
            let hint = "leave grid_days at 1";
            let message = "crude probabilities and the test require the daily grid";
            faults.push(Fault::new("/grid_days", message).hint(hint));
        }
        let date = options.closing_date.as_deref().map(epoch_day);
        let wrong = match date {
            Some(None) => Some("the closing date is not a valid date"),
            None if options.uses(Method::Hakulinen) => {
                Some("Hakulinen's estimate requires the closing date of follow-up")
            }
            None | Some(Some(_)) => None,
        };
        if let Some(message) = wrong {
            let hint = "write closing_date = \"2012-12-31\"";
            faults.push(Fault::new("/closing_date", message).hint(hint));
        }
        if options.followup.late().is_some()
            && (options.uses(Method::Ederer1) || options.uses(Method::Hakulinen))
        {
            let message = "Ederer I and Hakulinen follow all patients from diagnosis and do not allow late entry";
            let hint = "use pohar-perme or ederer2";
            faults.push(Fault::new("/estimators", message).hint(hint));
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(options.background.needs());
        needs.extend(options.by.iter().map(ColumnNeed::levels));
        let age = &options.background.age;
        let at = if options.standard.is_some() { "/standard" } else { "/age_from" };
        needs.push(ColumnNeed::parted(age, Places::Ages(options.bands.clone()), at));
        let closing = options.closing_date.as_deref().and_then(epoch_day);
        // Followed to the end of that day.
        let closing = Places::Days(closing.map(|day| day + 1).into_iter().collect());
        needs.push(ColumnNeed::parted(&options.background.date, closing, "/closing_date"));
        needs
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let missing = || CohortError::NoTable { table: "life_table" };
        let table = data.tables.life_table.as_ref().ok_or_else(missing)?;
        let table = table.in_years(options.followup.year.days());
        let mut needed: Vec<&str> = options.by.iter().map(String::as_str).collect();
        needed.extend(options.background.names());
        let survival = data.cohort.survival(&options.followup, &needed)?;
        // Ederer I and Hakulinen follow everybody to the end.
        let cohort_sums = options.uses(Method::Ederer1) || options.uses(Method::Hakulinen);
        let grid = options.day_grid();
        let days = [if cohort_sums { grid.days } else { 0 }, grid.days];
        let persons = options.background.persons(data, &survival, "life_table", days)?;
        let codes = match &options.by {
            Some(by) => data.cohort.levels(by)?.0,
            None => vec![Some(0); data.cohort.rows()],
        };
        let bands = options.bands.len();
        let group: Vec<usize> = survival
            .rows
            .iter()
            .zip(&persons)
            .map(|(&row, p)| codes[row].unwrap_or(0) as usize * bands + options.band(p.age_days))
            .collect();
        let closing = options.closing_date.as_deref().and_then(epoch_day);
        let course = |i: usize| {
            let event = survival.event[i];
            let exit = survival.exit[i];
            let potential = match (closing, event) {
                (Some(day), true) => (day - persons[i].start).max(exit),
                _ => exit,
            };
            let entry = survival.entry.as_ref().map_or(0, |entry| entry[i]);
            Course { person: persons[i], group: group[i], entry, exit, event, potential }
        };
        let courses: Vec<Course> = (0..persons.len()).map(course).collect();
        let outside = courses.iter().filter(|c| {
            let end = c.person.start + c.exit.min(grid.days);
            table.is_outside(c.person.start, end)
        });
        let outside = outside.count() as f64;
        let labels = options.labels();
        let sums = net_sums(&table, &courses, labels.len(), grid, cohort_sums);
        let group: Vec<u32> = group.iter().map(|g| *g as u32).collect();
        let rows = Rows {
            entry: survival.entry.as_deref(),
            exit: &survival.exit,
            event: &survival.event,
            group: &group,
        };
        let table = event_table(rows, labels.len(), &options.grid());
        let axes =
            || vec![Axis::new("group", labels.iter().cloned()), Axis::numbered("time", sums.cells)];
        let mut answer = Sums::of(&survival)
            .event_counts(&EventCounts { groups: labels.clone(), table })
            .counts("outside", Vec::new(), vec![outside])
            .person_time("time", axes(), sums.time)
            .sums("expected", axes(), sums.expected);
        if options.uses(Method::PoharPerme) {
            answer = answer
                .sums("weighted_time", axes(), sums.weighted_time)
                .sums("weighted_expected", axes(), sums.weighted_expected)
                .sums("weighted_risk", axes(), sums.weighted_risk)
                .sums("weighted_deaths", axes(), sums.weighted_deaths)
                .sums("squared_deaths", axes(), sums.squared_deaths);
        }
        if cohort_sums {
            answer = answer
                .sums("cohort", axes(), sums.cohort)
                .sums("potential", axes(), sums.potential)
                .sums("potential_lost", axes(), sums.potential_lost);
        }
        Ok(answer)
    }

    fn estimate(
        &self,
        options: &Options,
        pooled: &Sums,
        sites: usize,
    ) -> Result<Estimate, LayoutError> {
        result(options, pooled, sites)
    }
}
