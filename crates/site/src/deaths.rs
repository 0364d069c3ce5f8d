//! Reads the deaths of a registry's population from its statistics of causes of death.
//!
//! Delimited text with columns `year`, `deaths` and, where they are told apart, `sex` and `group`: a level of the variable by which an
//! analysis groups its cases. Several lines of one year, sex and group, such as of each age, are added up.

use std::path::Path;

use tributary_core::cohort::{DeathCell, sex_position};

use super::{
    folder::SiteError,
    population::{PopulationFile, fault},
    reader::{TextFormat, read},
};

/// Reads the table of a site folder.
pub(super) fn read_deaths(
    folder: &Path,
    file: &PopulationFile,
) -> Result<Vec<DeathCell>, SiteError> {
    let path = &folder.join(&file.path);
    let delimiter = u8::try_from(file.delimiter).map_err(|_| {
        fault(path, "the delimiter is not a single-byte character", "write delimiter = \",\"")
    })?;
    let raw = read(path, &TextFormat { encoding: "utf-8".into(), delimiter })?;
    let wanted = "the columns are year, deaths and, optionally, sex and group";
    let column = |name: &str| {
        raw.columns.get(name).ok_or_else(|| {
            let names = raw.names(&["year", "deaths", "sex", "group"]);
            fault(path, format!("there is no column `{name}`; {names}"), wanted)
        })
    };
    let (years, deaths) = (column("year")?, column("deaths")?);
    let (groups, sexes) = (raw.columns.get("group"), raw.columns.get("sex"));
    let mut cells = Vec::new();
    for row in 0..raw.rows {
        let text = |column: &[Option<String>]| column[row].clone().unwrap_or_default();
        let unread = |field: &str, wanted: &str| {
            let reason = format!("line {}: {field} cannot be read", raw.place(row));
            fault(path, reason, wanted)
        };
        let year = text(years).trim().parse::<i32>();
        let year = year.map_err(|_| unread("year", "year must be a calendar year such as 2012"))?;
        let n = text(deaths).trim().parse::<f64>().ok().filter(|n| *n >= 0.0 && n.fract() == 0.0);
        let deaths =
            n.ok_or_else(|| unread("deaths", "deaths must be whole numbers of 0 or more"))?;
        let group = groups.map(|g| text(g).trim().to_owned());
        let sex = sexes.map(|s| sex_position(&text(s)));
        if sex == Some(None) {
            return Err(unread("sex", "sex must be 1 or 2 (male, female)"));
        }
        cells.push(DeathCell { year, sex: sex.flatten(), group, deaths });
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<DeathCell>, SiteError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("d.csv"), text).unwrap();
        read_deaths(folder.path(), &PopulationFile { path: "d.csv".into(), delimiter: ',' })
    }

    #[test]
    fn groups_and_sexes_may_be_told_apart() {
        let cells = read_text("year,sex,deaths\n2000,1,5\n2000,female,0\n").unwrap();
        assert_eq!((cells[0].sex, cells[1].sex), (Some(0), Some(1)));
        let cells = read_text("year,group,deaths\n2000,I,5\n2000,II,0\n").unwrap();
        assert_eq!(cells[0].group.as_deref(), Some("I"));
        assert_eq!((cells[1].year, cells[1].deaths), (2000, 0.0));
        assert_eq!(read_text("year,deaths\n2000,5\n").unwrap()[0].group, None);
    }

    #[test]
    fn faults_name_the_line() {
        for (text, wanted) in [
            ("year,deaths\n2000,1.5\n", "line 2: deaths cannot be read"),
            ("year,deaths\n2000/1,1\n", "line 2: year cannot be read"),
            ("year,n\n2000,1\n", "no column `deaths`"),
            ("year,sex,deaths\n2000,1,1\n2000,x,1\n", "line 3: sex"),
        ] {
            let error = read_text(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
