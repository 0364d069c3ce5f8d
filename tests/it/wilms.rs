//! The flagship study: mappings of the five national files, and every number of `nwtco_reference.csv` (R 4.2.2, survival
//! 3.5-3, tests/reference/nwtco.R). R prints 12 digits and stops its iterations at a relative change of 1e-9, so iterative
//! results are compared to 1e-8, counts and closed forms to 1e-11.

use std::{collections::BTreeMap, fs};

use tributary::{
    cohort::{Column, ColumnNeed},
    estimate::Estimate,
    plan::Plan,
    results::Results,
    site::{Registry, SiteFolder},
    spec::{DataKind, Study},
    summary::{Policy, SiteId},
};

use crate::pooling::{close, csv, estimates, number, path, plan, reference, run};

pub const SITES: [&str; 5] = ["XA", "XB", "XC", "XD", "XE"];

pub fn study() -> Study {
    let file = path("analyses/wilms/study.toml");
    Study::parse("study.toml", &fs::read_to_string(file).unwrap()).unwrap_or_else(|e| panic!("{e}"))
}

pub fn registry(study: &Study, code: &str) -> Registry {
    let folder = SiteFolder::open(&path("analyses/wilms/sites").join(code))
        .unwrap_or_else(|e| panic!("{e}"));
    Registry::open(folder, &study.dictionary).unwrap_or_else(|e| panic!("{e}"))
}

pub fn wilms_plan() -> Plan {
    let text = fs::read_to_string(path("analyses/wilms/wilms.toml")).unwrap();
    Plan::check("wilms.toml", &text, study()).unwrap_or_else(|e| panic!("{e}"))
}

/// Runs a plan over some of the sites, under the study's policy.
fn pool(plan: &Plan, sites: &[&str]) -> BTreeMap<String, Estimate> {
    let data: Vec<_> = sites
        .iter()
        .map(|code| {
            let registry = registry(&plan.study, code);
            let mut needs = Vec::new();
            for model in &plan.spec.models {
                let found = tributary::models::find(&model.kind).unwrap();
                needs.extend(found.needs(&model.options).unwrap());
            }
            (SiteId::new(code).unwrap(), registry.cohort(&plan.conditions, &needs).unwrap())
        })
        .collect();
    estimates(&run(plan, &data, &plan.study.policy).0)
}

/// An analysis of the Wilms study beside the one that is shipped, by the day: the patients are public.
fn variant(models: &str, policy: Policy) -> Plan {
    let head = "[followup]\ntime = \"followup_days\"\nevent = \"relapse\"\n";
    plan(&Study { policy, data: DataKind::Public, ..study() }, &format!("{head}{models}"))
}

#[test]
fn five_dialects_give_back_all_4028_records_exactly() {
    let study = study();
    let (head, rows) = csv("nwtco.csv");
    let (_, key) = csv("nwtco_split_key.csv");
    let country: BTreeMap<&str, (&str, &str)> =
        key.iter().map(|row| (row[0].as_str(), (row[1].as_str(), row[2].as_str()))).collect();
    let at = |name: &str| head.iter().position(|h| h == name).unwrap();
    let levels = ["stage", "x_hist_local", "x_hist_central", "x_study", "relapse"];
    let numbers = ["age_years", "age_months", "followup_days", "incidence_date"];
    let needs: Vec<ColumnNeed> =
        levels.map(ColumnNeed::levels).into_iter().chain(numbers.map(ColumnNeed::number)).collect();
    let mut total = 0;
    for code in SITES {
        let registry = registry(&study, code);
        assert_eq!(registry.records.unmapped(), 0, "{code}");
        assert!(registry.records.disagreements.is_empty(), "{code}");
        let data = registry.cohort(&[], &needs).unwrap();
        let wanted: Vec<&Vec<String>> =
            rows.iter().filter(|row| country[row[at("seqno")].as_str()].0 == code).collect();
        assert_eq!(data.cohort.rows(), wanted.len(), "{code}");
        let level = |name: &str, row: usize| {
            let (codes, levels) = data.cohort.levels(name).unwrap();
            codes[row].map_or_else(String::new, |c| levels[c as usize].clone())
        };
        for (row, wanted) in wanted.iter().enumerate() {
            let cell = |name: &str| wanted[at(name)].as_str();
            assert_eq!(level("stage", row), cell("stage"));
            assert_eq!(level("x_hist_local", row), cell("hist_local"));
            assert_eq!(level("x_hist_central", row), cell("hist_central"));
            assert_eq!(level("x_study", row), cell("study"));
            let Column::Real(years) = data.cohort.column("age_years").unwrap() else { panic!() };
            assert_eq!(years[row].to_string(), cell("age_years"));
            let Column::Real(months) = data.cohort.column("age_months").unwrap() else { panic!() };
            assert_eq!(months[row].to_string(), cell("age_months"));
            assert_eq!(
                data.cohort.days("followup_days").unwrap()[row].unwrap().to_string(),
                cell("time_days")
            );
            assert_eq!(data.cohort.flags("relapse").unwrap()[row], Some(cell("relapse") == "1"));
            let date: jiff::civil::Date = country[cell("seqno")].1.parse().unwrap();
            let days = (date - jiff::civil::date(1970, 1, 1)).get_days();
            assert_eq!(data.cohort.days("incidence_date").unwrap()[row], Some(days));
        }
        total += wanted.len();
    }
    assert_eq!(total, 4028);
}

fn check_cox(estimate: &Estimate, block: &str, histology: &str) {
    let oracle = reference("nwtco_reference.csv");
    let local = format!("{histology}=UH");
    let uh = if histology == "x_hist_local" { "uh_l" } else { "uh_c" };
    let names = [
        (uh, local.as_str()),
        ("st2", "stage=2"),
        ("st3", "stage=3"),
        ("st4", "stage=4"),
        ("age_years", "age_years"),
        ("n4", "x_study=NWTS-4"),
    ];
    for (r, ours) in names {
        for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
            let wanted = oracle[&format!("{block}/ALL/{r}/{stat}")];
            close(
                number(estimate, "terms", &[("term", ours)], column),
                wanted,
                1e-8,
                &format!("{block} {r} {stat}"),
            );
        }
    }
    for (stat, column) in [("loglik_null", "log_likelihood_null"), ("loglik", "log_likelihood")] {
        let wanted = oracle[&format!("{block}/ALL/model/{stat}")];
        close(number(estimate, "summary", &[], column), wanted, 1e-11, &format!("{block} {stat}"));
    }
}

#[test]
fn the_shipped_analysis_gives_the_reference_numbers() {
    let oracle = reference("nwtco_reference.csv");
    let found = pool(&wilms_plan(), &SITES);

    let flow = |site: &str, step: &str| {
        number(&found["participation"], "flow", &[("site", site), ("step", step)], "n")
    };
    for site in SITES.iter().chain(&["all"]) {
        let scope = if *site == "all" { "ALL" } else { site };
        close(flow(site, "analysed"), oracle[&format!("counts/{scope}/n/n")], 1e-15, site);
        close(flow(site, "events"), oracle[&format!("counts/{scope}/relapse/n")], 1e-15, site);
    }
    let by_country = |variable: &str, level: &str, group: &str| {
        let keys = [("variable", variable), ("group", group)];
        let table = found["patients_by_country"].table("characteristics").unwrap();
        let fits = |row: &usize| {
            keys.iter().all(|(k, v)| table.text(*row, k) == *v)
                && table.text(*row, "level") == level
        };
        table.number((0..table.rows.len()).find(fits).unwrap(), "n").unwrap()
    };
    for site in SITES {
        for stage in ["1", "2", "3", "4"] {
            assert_eq!(
                by_country("stage", stage, site),
                oracle[&format!("counts/{site}/stage{stage}/n")]
            );
        }
        assert_eq!(
            by_country("x_hist_central", "UH", site),
            oracle[&format!("counts/{site}/uh_central/n")]
        );
        assert_eq!(
            by_country("x_hist_local", "UH", site),
            oracle[&format!("counts/{site}/uh_local/n")]
        );
    }

    check_km(&found["relapse_free"], "ALL");
    check_cox(&found["cox_central"], "cox_efron_pooled_stratified_by_country", "x_hist_central");
    check_cox(&found["cox_local"], "cox_efron_local_histology_stratified", "x_hist_local");
    let chisq = oracle["logrank_uh_c_stratified/ALL/chisq/value"];
    close(number(&found["logrank_central"], "test", &[], "statistic"), chisq, 1e-11, "log-rank");
    // Peto's step from no effect overshoots here, and says so.
    let told: Vec<&str> = found["logrank_central"].notices.iter().map(|n| n.key.as_str()).collect();
    assert_eq!(told, ["one-step-far"]);

    for (model, block) in
        [("countries_central", "two_stage_meta_uh_c"), ("countries_local", "two_stage_meta_uh_l")]
    {
        let wanted =
            |scope: &str, term: &str, stat: &str| oracle[&format!("{block}/{scope}/{term}/{stat}")];
        for site in SITES {
            for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
                let n = number(&found[model], "studies", &[("study", site)], column);
                close(n, wanted(site, "logHR", stat), 1e-8, &format!("{block} {site} {stat}"));
            }
        }
        for (method, term) in [("EE", "fixed"), ("DL", "random_DL")] {
            for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
                let n =
                    number(&found[model], "pooled", &[("method", method), ("test", "z")], column);
                close(n, wanted("ALL", term, stat), 1e-8, &format!("{block} {method} {stat}"));
            }
        }
        let dl = [("method", "DL"), ("test", "z")];
        for (stat, column) in
            [("Q", "q"), ("df", "q_df"), ("p", "q_p_value"), ("tau2_DL", "tau2"), ("I2", "i2")]
        {
            let n = number(&found[model], "pooled", &dl, column);
            close(n, wanted("ALL", "heterogeneity", stat), 1e-8, &format!("{block} {stat}"));
        }
    }

    let readings = &found["readings"];
    for (a, b) in [("FH", "FH"), ("FH", "UH"), ("UH", "FH"), ("UH", "UH")] {
        let wanted = oracle[&format!("local_vs_central/ALL/local_{a}__central_{b}/n")];
        assert_eq!(number(readings, "counts", &[("rating", a), ("reference", b)], "n"), wanted);
    }
    for (measure, key) in
        [("kappa", "kappa"), ("sensitivity", "sens_UH"), ("specificity", "spec_FH")]
    {
        let wanted = oracle[&format!("local_vs_central/ALL/{key}/value")];
        close(
            number(readings, "measures", &[("measure", measure)], "estimate"),
            wanted,
            1e-11,
            measure,
        );
    }
}

fn check_km(estimate: &Estimate, scope: &str) {
    let oracle = reference("nwtco_reference.csv");
    for years in ["1", "2", "5"] {
        for (stat, column) in [
            ("surv", "estimate"),
            ("se_greenwood", "std_error"),
            ("lo95_loglog", "conf_low"),
            ("hi95_loglog", "conf_high"),
            ("at_risk", "n_risk"),
        ] {
            let wanted = oracle[&format!("km/{scope}/rfs_{years}y/{stat}")];
            let found = number(estimate, "times", &[("time_years", years)], column);
            close(found, wanted, 1e-10, &format!("{scope} {years} years {stat}"));
        }
    }
}

#[test]
fn a_country_alone_gives_its_own_reference_curve_and_person_time() {
    let oracle = reference("nwtco_reference.csv");
    let model = "[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\ntimes_years = [1, 2, 5]\n\
                 [[model]]\nid = \"time\"\nkind = \"characteristics\"\nvariables = [\"followup_days\"]\nclasses = { followup_days = { from = 0, to = 9000, width = 1 } }\n";
    let plan = variant(model, Policy { min_sites: 1, ..study().policy });
    for site in SITES {
        let found = pool(&plan, &[site]);
        check_km(&found["km"], site);
        let of = |column: &str| {
            number(&found["time"], "characteristics", &[("variable", "followup_days")], column)
        };
        close(of("mean") * of("n"), oracle[&format!("counts/{site}/persondays/sum")], 1e-12, site);
    }
}

#[test]
fn breslow_ties_and_a_common_baseline_give_the_reference_too() {
    let covariates = "covariates = [\"x_hist_central\", \"stage\", \"age_years\", \"x_study\"]";
    for (baseline, scope) in [("site", "stratified_by_country"), ("common", "unstratified")] {
        for ties in ["efron", "breslow"] {
            let model = format!(
                "[[model]]\nid = \"cox\"\nkind = \"cox\"\n{covariates}\nties = \"{ties}\"\nbaseline = \"{baseline}\"\n"
            );
            let found = pool(&variant(&model, study().policy), &SITES);
            check_cox(&found["cox"], &format!("cox_{ties}_pooled_{scope}"), "x_hist_central");
        }
    }
}

/// The same results for any order of sites; and a record that a reader can check.
#[test]
fn results_do_not_depend_on_the_order_of_the_sites() {
    let plan = wilms_plan();
    let of = |sites: &[&str]| {
        let data: Vec<_> = sites
            .iter()
            .map(|code| {
                let registry = registry(&plan.study, code);
                let found = |kind: &str| tributary::models::find(kind).unwrap();
                let needs: Vec<ColumnNeed> = plan
                    .spec
                    .models
                    .iter()
                    .flat_map(|m| found(&m.kind).needs(&m.options).unwrap())
                    .collect();
                (SiteId::new(code).unwrap(), registry.cohort(&plan.conditions, &needs).unwrap())
            })
            .collect();
        let (run, _) = run(&plan, &data, &plan.study.policy);
        serde_json::to_string(&Results::of(&plan, &run, jiff::civil::date(2026, 1, 31))).unwrap()
    };
    assert_eq!(of(&SITES), of(&["XD", "XB", "XE", "XA", "XC"]));
}

#[test]
fn every_site_may_be_absent_and_the_rest_still_pools() {
    let plan = wilms_plan();
    for absent in SITES {
        let present: Vec<&str> = SITES.into_iter().filter(|s| *s != absent).collect();
        let found = pool(&plan, &present);
        let total =
            number(&found["participation"], "flow", &[("site", "all"), ("step", "analysed")], "n");
        let alone = reference("nwtco_reference.csv")[&format!("counts/{absent}/n/n")];
        assert_eq!(total, 4028.0 - alone);
    }
}
