//! Every status, notice and choice has its words: reports of what goes wrong render as well as those of what goes right.

use tributary::{
    cohort::DeathCell,
    report::{Block, Report},
    results::Results,
    run::Run,
    summary::{Policy, SiteId},
};

use crate::{
    pooling::{Frame, plan, run, untrue_columns},
    sealed::{FURTHER, with_everything},
    survival_oracles::lung,
};

const DICTIONARY: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1000]\nunit = \"days\"\nclass_width = 10\n\
    [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
    [dictionary.x]\ntype = \"real\"\nlabel = \"x\"\n\
    [dictionary.group]\ntype = \"flag\"\nlabel = \"Group\"\nlevel_labels = [\"none\", \"some\"]\n";

fn pooled(frame: &Frame, models: &str, sites: usize, policy: &Policy) -> (Results, Run) {
    let plan = plan(&frame.study, models);
    let parts = frame.deal(sites);
    let code = |i: usize| SiteId::new(&format!("S{i}")).unwrap();
    let sites: Vec<_> =
        parts.iter().enumerate().map(|(i, rows)| (code(i), frame.site(rows))).collect();
    let (run, _) = run(&plan, &sites, policy);
    let results = Results::of(&plan, &run, jiff::civil::date(2026, 1, 31));
    let estimates = results.models.iter().filter_map(|m| m.estimate());
    let untrue = untrue_columns(estimates.flat_map(|e| &e.tables));
    assert!(untrue.is_empty(), "{untrue:#?}");
    (results, run)
}

fn text(results: &Results) -> String {
    let report = Report::compose(results).unwrap();
    let html = report.html().unwrap();
    for unfinished in ["NaN", "inf<", "{{"] {
        assert!(!html.contains(unfinished), "{unfinished}");
    }
    html
}

/// All choices of all options, on data where everything is fine.
#[test]
fn every_choice_has_its_words() {
    let lung = with_everything();
    let mut models = String::new();
    let mut add = |kind: &str, options: String| {
        let id = models.matches("[[model]]").count();
        models += &format!("[[model]]\nid = \"m{id}\"\nkind = \"{kind}\"\n{options}\n");
    };
    for zero in ["half_day", "exclude", "as_is"] {
        let followup =
            format!("followup = {{ time = \"time\", event = \"event\", zero = \"{zero}\" }}");
        for interval in ["log-log", "log", "plain"] {
            add(
                "kaplan_meier",
                format!(
                    "{followup}\ninterval = \"{interval}\"\nby = \"sex\"\ntimes_years = [1, 2.5]\nquantiles = [0.25, 0.5]\nrestricted_mean_years = 2"
                ),
            );
        }
        add("log_rank", format!("{followup}\nby = \"sex\"\nrho = 1"));
    }
    add("log_rank", "by = \"sex\"\nstratify_by_site = false".into());
    add("kaplan_meier", "grid_days = 30.4375".into());
    for transform in ["km", "log", "identity", "none"] {
        add(
            "cox",
            format!(
                "covariates = [\"age\"]\nproportional_hazards = \"{transform}\"\nstrata = [\"sex\"]\nties = \"breslow\""
            ),
        );
    }
    add("cox", "covariates = [\"age\", \"sex\"]\nbaseline = \"common\"".into());
    add(
        "characteristics",
        "variables = [\"age\", \"sex\"]\nclasses = { age = { from = 30, to = 90, width = 5 } }"
            .into(),
    );
    add("agreement", "rating = \"sex\"\nreference = \"sex\"".into());
    let background = "background = { sex = \"sex\", age = \"age\", date = \"date\" }";
    for (interval, grid) in [("log-log", 1.0), ("log", 1.0), ("plain", 30.4375)] {
        for more in [
            "",
            "standard = \"icss1\"",
            "age_from = [0, 60]\nage_weights = [1, 2]",
            "age_from = [0, 60]",
            "exponential = true",
        ] {
            add(
                "net_survival",
                format!(
                    "{background}\ninterval = \"{interval}\"\ngrid_days = {grid}\ntimes_years = [1]\nby = \"sex\"\n{more}"
                ),
            );
        }
    }
    add(
        "net_survival",
        format!(
            "{background}\ntest = true\nby = \"sex\"\ncrude_probabilities = true\ntimes_years = [1]\nestimators = [\"pohar-perme\", \"ederer1\", \"ederer2\", \"hakulinen\"]\nclosing_date = \"1990-01-01\""
        ),
    );
    for interval in ["logit", "arcsine"] {
        add(
            "kaplan_meier",
            format!(
                "interval = \"{interval}\"\ncumulative_hazard = true\nlife_table = \"usual\"\nconditional_years = [1]\ntimes_years = [2]"
            ),
        );
    }
    for weights in ["gehan", "tarone-ware", "peto-peto"] {
        add("log_rank", format!("by = \"sex\"\nweights = \"{weights}\"\ntrend = [1, 2]"));
    }
    add("profile_likelihood", "effect = \"sex\"\nnuisance = [\"age\"]".into());
    add("profile_likelihood", "effect = \"age\"\nstrata = [\"sex\"]\nper = 10".into());
    for variance in ["aalen", "delta", "infinitesimal-jackknife"] {
        for interval in ["log-log", "log", "plain"] {
            add(
                "competing_risks",
                format!(
                    "causes = [\"1\"]\nby = \"sex\"\nvariance = \"{variance}\"\ninterval = \"{interval}\"\ntimes_years = [1]\nstratify_by_site = true"
                ),
            );
        }
    }
    for name in
        ["exponential", "weibull", "gompertz", "log-normal", "log-logistic", "generalized-gamma"]
    {
        add(
            "parametric",
            format!(
                "distribution = \"{name}\"\ncovariates = [\"sex\"]\ntimes_years = [1, 2]\npatients = [{{ name = \"a woman\", values = {{ sex = \"2\" }} }}]"
            ),
        );
    }
    add("parametric", "distribution = \"weibull\"\ntime_unit = \"days\"".into());
    add(
        "royston_parmar",
        "covariates = [\"sex\"]\ntime_varying = [\"sex\"]\ntimes_years = [1, 2]\nknots = 8".into(),
    );
    for (form, latency) in
        [("mixture", "weibull"), ("non-mixture", "log-normal"), ("mixture", "log-logistic")]
    {
        add("cure", format!("form = \"{form}\"\nlatency = \"{latency}\"\nwithout_gate = true"));
    }
    for outcome in ["rate", "excess", "relative"] {
        add(
            "poisson",
            format!(
                "bands_years = [1, 3]\ncovariates = [\"sex\"]\noutcome = \"{outcome}\"\n{background}"
            ),
        );
    }
    add("poisson", "bands_years = [1, 3]\ncovariates = [\"sex\"]\nfirth = true".into());
    for outcome in ["rate", "excess", "relative"] {
        add(
            "poisson",
            format!(
                "bands_years = [1, 3]\ncovariates = [\"sex\", \"ecog\"]\noutcome = \"{outcome}\"\n{background}"
            ),
        );
    }
    add("excess_hazard", format!("bands_years = [1, 3]\ncovariates = [\"sex\"]\n{background}"));
    add(
        "excess_hazard",
        format!(
            "spline_years = [0.1, 1, 3]\ncovariates = [\"sex\"]\ntime_varying = [\"sex\"]\n{background}"
        ),
    );
    add("penalised_cox", "covariates = [\"sex\"]".into());
    add("penalised_cox", "covariates = [\"age\"]\npenalty = \"ridge\"\nstrata = [\"sex\"]".into());
    for ties in ["efron", "breslow", "exact"] {
        add(
            "cox_patterns",
            format!(
                "covariates = [\"sex\"]\nties = \"{ties}\"\ntimes_years = [1]\nstandardise = \"sex\""
            ),
        );
    }
    for variance in ["robust", "site"] {
        add(
            "cox",
            format!(
                "covariates = [\"sex\"]\nvariance = \"{variance}\"\nweights = \"ecog\"\nweight_type = \"sampling\"\noffset = \"age\"\nproportional_hazards = \"none\""
            ),
        );
    }
    add("cox", "covariates = [\"sex\", \"age\"]\ntime_varying = [\"sex\"]\ntime_bands_years = [1]\ninteractions = [[\"sex\", \"age\"]]".into());
    add(
        "cox",
        "covariates = [\"sex\"]\nweights = \"ecog\"\nproportional_hazards = \"none\"".into(),
    );
    add("fine_gray", "cause = \"1\"\ncompeting = []\ncovariates = [\"sex\"]".into());
    add("multi_state", "states = [\"0\", \"1\"]\ntimes_years = [1]".into());
    add("mean_cumulative_count", "recurrent = [\"1\"]\ntimes_years = [1]".into());
    for source in ["rates", "life_table"] {
        add(
            "standardised_ratio",
            format!("by = \"sex\"\nbands_years = [1, 3]\nsource = \"{source}\"\n{background}"),
        );
    }
    add(
        "survival_lexis",
        format!(
            "date = \"date\"\nyears = [1983, 1987]\nfollowup_years = 2\napproaches = [{{ name = \"all\", diagnosed = [1983, 1987] }}]\n{background}"
        ),
    );
    let models = format!("[followup]\ntime = \"time\"\nevent = \"event\"\n{models}");
    let (results, _) = pooled(&lung, &models, 5, &lung.study.policy);
    let html = text(&results);
    for words in [
        "Fleming–Harrington, S(t−)^1 (1 − S(t−))^0",
        "cells of 30.4375 days, to day 1100",
        "one per site and level of sex",
        "score test, time transform 1 − S(t−)",
        "interpolated within classes",
    ] {
        assert!(html.contains(words), "{words}");
    }
}

/// The same of the models of incidence, with a column head for each column.
#[test]
fn every_choice_of_incidence_has_its_words() {
    let mut rows = Vec::new();
    for year in 1990..2010 {
        for (i, age) in [2.0, 7.0, 12.0, 17.0].into_iter().enumerate() {
            for sex in [1.0, 2.0] {
                let cases = f64::from((year * 7 + 3 * i as i32) % 5 + 6);
                rows.push((age, f64::from(year), sex, cases));
            }
        }
    }
    let mut frame = crate::incidence_data::small(&rows, 20);
    let deaths = (1990..2010).map(|year| DeathCell { year, sex: None, group: None, deaths: 3.0 });
    frame.tables.deaths = Some(std::sync::Arc::new(deaths.collect()));
    let cells = format!(
        "incidence = {{ {}, sex = \"sex\", years = [1990, 2009] }}",
        crate::incidence_data::SMALL
    );
    let mut models = String::new();
    let mut add = |kind: &str, options: String| {
        let id = models.matches("[[model]]").count();
        models += &format!("[[model]]\nid = \"m{id}\"\nkind = \"{kind}\"\n{options}\n{cells}\n");
    };
    for interval in ["exact", "mid_p", "byar", "score", "log"] {
        add(
            "incidence_rates",
            format!("interval = \"{interval}\"\nperiods = [[1990, 1999], [2000, 2009]]"),
        );
    }
    for interval in ["fay_feuer", "tiwari", "mid_p_gamma", "dobson", "normal", "log"] {
        let standards = "standards = [\"world\", \"europe1976\", \"us2000\"]\nlayout = \"ci5\"";
        add("incidence_rates", format!("standard_interval = \"{interval}\"\n{standards}"));
    }
    add("rate_comparison", "between = \"sexes\"".into());
    add("rate_comparison", "between = \"periods\"\nperiods = [[1990, 1999], [2000, 2009]]".into());
    add("rate_trend", "halves = true\neach_sex = true".into());
    for family in ["poisson", "negative_binomial"] {
        for site in ["none", "fixed", "random"] {
            add("count_regression", format!("family = \"{family}\"\nsite = \"{site}\""));
        }
    }
    for (scale, search, selection) in [
        ("count", "grid", "bic"),
        ("log_rate", "hudson", "bic3"),
        ("log_rate_unweighted", "grid", "weighted_bic"),
    ] {
        add(
            "joinpoint",
            format!(
                "scale = \"{scale}\"\nsearch = \"{search}\"\nselection = \"{selection}\"\nmost = 1"
            ),
        );
    }
    let few = "most = 1\npermutations = 99\ninterval = \"empirical_quantile\"\ndraws = 100";
    add("joinpoint", format!("scale = \"log_rate\"\nselection = \"permutation\"\n{few}"));
    for (effects, drift) in [("splines", "cases"), ("levels", "person_years"), ("splines", "cells")]
    {
        add(
            "age_period_cohort",
            format!(
                "effects = \"{effects}\"\ndrift = \"{drift}\"\nperiod_years = 5\nknots = [2, 2, 2]"
            ),
        );
    }
    for (scale, drift) in [("fifth_root", "auto"), ("log", "recent"), ("log", "average")] {
        add(
            "projection",
            format!(
                "scale = \"{scale}\"\ndrift = \"{drift}\"\npopulation = \"constant\"\ncut_drift = [0, 0.5]"
            ),
        );
    }
    let shorter = cells.replace("1990, 2009", "1990, 2004");
    models += &format!(
        "[[model]]\nid = \"ahead\"\nkind = \"projection\"\nbase_periods = [3, 3]\ncut_drift = [0]\n{shorter}\n"
    );
    models +=
        &format!("[[model]]\nid = \"sites\"\nkind = \"site_rates\"\ncomparative = true\n{cells}\n");
    models += "[[model]]\nid = \"quality\"\nkind = \"quality_indicators\"\ncount = \"cases\"\n\
        indicators = [{ name = \"MV%\", variable = \"sex\", levels = [\"1\"] }]\nmortality = { year = \"year\", years = [1990, 2009] }\n";
    let (results, _) = pooled(&frame, &models, 5, &frame.study.policy);
    let html = text(&results);
    let lung = with_everything();
    let alive = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
        [[model]]\nid = \"alive\"\nkind = \"prevalence\"\non = \"1985-01-01\"\ndurations_years = [2, 5]\nby = \"sex\"\n\
        incidence = { age = \"age\", year = \"date\", ages = [0, 65], years = [1981, 1986] }\n";
    let html = html + &text(&pooled(&lung, alive, 5, &lung.study.policy).0);
    for words in [
        "Byar",
        "gamma with mean weights (Tiwari)",
        "quantiles of 100 refits",
        "forecast in the sites&#x27; population tables",
        "<dt>link</dt><dd>logarithm of the rate",
        "alive at the start of 1985-01-01",
        "deaths &#x2f; cases of the same years",
        "Cases, rates and cumulative risk (per cent) at each site by sex",
    ] {
        assert!(html.contains(words), "{words}");
    }
    // A column without a head of its own shows its name in the table file.
    let mut nameless: Vec<&str> = Vec::new();
    for table in results.models.iter().filter_map(|m| m.estimate()).flat_map(|e| &e.tables) {
        for column in &table.columns {
            let plain = column.name.replace('_', " ");
            if column.name.contains('_') && html.contains(&format!(">{plain}</th>")) {
                nameless.push(&column.name);
            }
        }
    }
    assert!(nameless.is_empty(), "{nameless:?}");
}

/// No events, separation, collinearity, one site, refusals, everything hidden.
#[test]
fn what_goes_wrong_is_said_in_words() {
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
        [[model]]\nid = \"table\"\nkind = \"characteristics\"\nvariables = [\"time\", \"group\"]\nby = \"site\"\n\
        [[model]]\nid = \"agreement\"\nkind = \"agreement\"\nrating = \"group\"\nreference = \"event\"\nby = \"site\"\n\
        [[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\nby = \"group\"\ntimes_years = [0.05, 2]\nrestricted_mean_years = 1\n\
        [[model]]\nid = \"logrank\"\nkind = \"log_rank\"\nby = \"group\"\n\
        [[model]]\nid = \"cox\"\nkind = \"cox\"\ncovariates = [\"group\"]\n\
        [[model]]\nid = \"sites\"\nkind = \"meta_analysis\"\nof = \"cox\"\nterm = \"group=1\"\n\
        [report]\nanswer = { model = \"cox\", term = \"group=1\" }\nagreement_of_sites = \"sites\"\n\
        [[report.comparison]]\ntitle = \"Side by side\"\nestimates = [{ model = \"cox\", term = \"group=1\", label = \"one\" }]\n";
    let n = 8;
    let time: Vec<f64> = (1..=n).map(|i| f64::from(i) * 10.0).collect();
    let arm: Vec<f64> = (1..=n).map(|i| f64::from(u8::from(i <= 4))).collect();
    let separated: Vec<f64> = (1..=n).map(|i| f64::from(u8::from(i <= 3))).collect();
    let few = vec![0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
    for (event, words) in [
        (
            vec![0.0; 8],
            vec![
                "There were no events",
                "The estimate that would answer the question is not available: no events (",
            ],
        ),
        (separated, vec!["The likelihood has no finite maximum", "no finite estimate"]),
        (few, vec!["Quantiles of time to death", "not reached"]),
    ] {
        let columns =
            [("time", time.clone()), ("event", event), ("x", arm.clone()), ("group", arm.clone())];
        let frame = Frame::of(&columns, DICTIONARY);
        for (sites, policy) in [
            (1, frame.study.policy.clone()),
            (2, Policy { min_cell: 50, ..frame.study.policy.clone() }),
            (2, Policy { min_events: 99, min_persons_in_sum: 99, ..frame.study.policy.clone() }),
        ] {
            let (results, _) = pooled(&frame, models, sites, &policy);
            let html = text(&results);
            if policy.min_persons_in_sum == 0 {
                words.iter().for_each(|w| assert!(html.contains(w), "{w}"));
            } else {
                assert!(html.contains("There is no result") && html.contains("the whole answer"));
            }
        }
    }
}

/// A figure for every curve and forest, and each of them says in words what it shows.
#[test]
fn figures_have_texts_and_tables_have_as_many_cells_as_heads() {
    let lung = lung();
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
        [[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\nby = \"sex\"\ntimes_years = [1]\n\
        [[model]]\nid = \"cox\"\nkind = \"cox\"\ncovariates = [\"sex\"]\n\
        [[model]]\nid = \"sites\"\nkind = \"meta_analysis\"\nof = \"cox\"\nterm = \"sex=2\"\n";
    let (results, _) = pooled(&lung, models, 5, &lung.study.policy);
    let report = Report::compose(&results).unwrap();
    assert_eq!(report.figures().len(), 4);
    for section in &report.document().sections {
        for block in &section.blocks {
            match block {
                Block::Figure { alt, caption, .. } => assert!(alt.len() > 20 && caption.len() > 10),
                Block::Table(table) => {
                    for row in &table.rows {
                        assert!(
                            row.style == "group" || row.cells.len() == table.head.len(),
                            "{}: {:?}",
                            table.caption,
                            row.cells
                        );
                    }
                }
                Block::Paragraph { .. }
                | Block::Note { .. }
                | Block::Warning { .. }
                | Block::Facts { .. } => {}
            }
        }
    }
}

/// Name, patients, who has the event, who is in the second group.
type Case<'a> = (&'a str, i32, &'a dyn Fn(i32) -> bool, &'a dyn Fn(i32) -> bool);

/// Every further kind on data that break others: nobody with the event, one patient, everybody in one group, one site, hidden cells.
#[test]
fn further_models_say_what_goes_wrong() {
    let dictionary = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1100]\nunit = \"days\"\n\
        [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
        [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\n\
        [dictionary.date]\ntype = \"date\"\nlabel = \"Diagnosis\"\n\
        [dictionary.sex]\ntype = \"flag\"\nlabel = \"Group\"\n";
    // The life tables know males and females; the flag here does not say which is which.
    let further = FURTHER.replace("sex = \"sex\", ", "");
    let models = format!("[followup]\ntime = \"time\"\nevent = \"event\"\n{further}");
    let time = |n: i32| (1..=n).map(|i| f64::from(i * 37 % 900)).collect::<Vec<f64>>();
    let flags = |n: i32, f: &dyn Fn(i32) -> bool| {
        (0..n).map(|i| f64::from(u8::from(f(i)))).collect::<Vec<f64>>()
    };
    let cases: [Case<'_>; 6] = [
        ("nobody has the event", 30, &|_| false, &|i| i % 2 == 0),
        ("one patient", 1, &|_| true, &|_| true),
        ("one event", 30, &|i| i == 7, &|i| i % 2 == 0),
        ("all events in one group", 40, &|i| i % 2 == 0 && i < 30, &|i| i % 2 == 0),
        ("one group alone", 40, &|i| i % 3 == 0, &|_| true),
        ("everybody has the event", 40, &|_| true, &|i| i % 2 == 0),
    ];
    for (case, n, event, sex) in cases {
        let rows = n as usize;
        let mut frame = Frame::of(
            &[
                ("time", time(n)),
                ("event", flags(n, event)),
                ("age", (0..n).map(|i| f64::from(i % 15)).collect()),
                ("date", vec![5000.0; rows]),
                ("sex", flags(n, sex)),
            ],
            dictionary,
        );
        frame.tables = crate::laws::flat_tables();
        for sites in [1, 2] {
            if sites > rows {
                continue;
            }
            let (results, _) = pooled(&frame, &models, sites, &frame.study.policy.clone());
            let html = text(&results);
            assert!(!html.contains("There is no result"), "{case}: {sites} sites");
        }
        let strict =
            Policy { min_events: 99, min_persons_in_sum: 99, ..frame.study.policy.clone() };
        let (results, _) = pooled(&frame, &models, 1, &strict);
        assert!(text(&results).contains("There is no result"), "{case}");
    }
}
