//! Follow-up of one site cut into bands: events, person-years and expected events of each person in each band.

use tributary_core::{
    cohort::{CohortError, SiteData, Survival},
    model::{Background, Sums},
    summary::LayoutError,
};
use tributary_stats::life_table::{Expected, Person};

use super::Options;

/// Events with the follow-up in which they happened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) events: f64,
    /// Person-years.
    pub(super) time: f64,
    /// Expected events; 0 without a life table.
    pub(super) expected: f64,
}

impl Counts {
    pub(super) fn join(&mut self, other: &Self) {
        self.events += other.events;
        self.time += other.time;
        self.expected += other.expected;
    }

    /// Reads what [`Options::with_counts`] has written.
    pub(super) fn read(sums: &Sums) -> Result<Vec<Self>, LayoutError> {
        let (events, time) = (sums.get("events")?, sums.get("time")?);
        let expected = if sums.has("expected") { sums.get("expected")? } else { &[] };
        let of = |(i, (&events, &time)): (usize, (&f64, &f64))| Self {
            events,
            time,
            expected: expected.get(i).copied().unwrap_or(0.0),
        };
        Ok(events.iter().zip(time).enumerate().map(of).collect())
    }
}

/// The persons of one site with what is expected of them.
pub(super) struct Followed<'a> {
    survival: &'a Survival,
    /// Start and end of each band, days.
    bands: Vec<[f64; 2]>,
    year_days: f64,
    background: Option<(Expected<'a>, Vec<Person>)>,
}

impl<'a> Followed<'a> {
    pub(super) fn new(
        options: &Options,
        survival: &'a Survival,
        data: &'a SiteData,
    ) -> Result<Self, CohortError> {
        let year_days = options.followup.year.days();
        let ends = options.bands_years.iter().map(|years| years * year_days);
        let starts = std::iter::once(0.0).chain(ends.clone());
        let background = match &options.background {
            Some(background) => {
                let missing = || CohortError::NoTable { table: "life_table" };
                let table = data.tables.life_table.as_ref().ok_or_else(missing)?;
                let persons =
                    background.persons(data, survival, "life_table", Background::WHOLE)?;
                Some((table.in_years(year_days), persons))
            }
            None => None,
        };
        let bands = starts.zip(ends).map(|(from, to)| [from, to]).collect();
        Ok(Self { survival, bands, year_days, background })
    }

    /// Adds the follow-up of person `i` in a band.
    pub(super) fn add(&self, i: usize, band: usize, counts: &mut Counts) {
        let [from, to] = self.bands[band];
        let exit = f64::from(self.survival.exit[i]).max(0.5);
        let entry = self.survival.entry.as_ref().map_or(0.0, |entry| f64::from(entry[i]));
        let (start, end) = (entry.max(from), exit.min(to));
        if end > start {
            counts.time += (end - start) / self.year_days;
            if let Some((table, persons)) = &self.background {
                for s in table.stretches(persons[i], end.ceil() as i32) {
                    let days = end.min(f64::from(s.to)) - start.max(f64::from(s.from));
                    counts.expected += s.hazard * days.max(0.0);
                }
            }
        }
        if self.survival.event[i] && exit > from && exit <= to {
            counts.events += 1.0;
        }
    }

    /// Bands in which person `i` was followed, in order.
    pub(super) fn of_person(&self, i: usize) -> impl Iterator<Item = (usize, Counts)> {
        let bands = (0..self.bands.len()).map(move |band| {
            let mut counts = Counts::default();
            self.add(i, band, &mut counts);
            (band, counts)
        });
        bands.filter(|(_, counts)| counts.time > 0.0)
    }
}
