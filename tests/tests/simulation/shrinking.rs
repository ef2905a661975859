//! A failing plan is made so small that a person can read it.

use std::time::Duration;

use comity_tests::simulation::{
    Deed, Fault, Kept, Part, Plan, What,
    campaign::{Shrunk, shrink},
    run,
};

/// As many tries as the program has by default.
const TRIES: usize = 600;

/// The first seed whose plan fails.
fn failing(fails: impl Fn(&Plan) -> bool) -> Part {
    let mut parts = (0..1_000).map(Part::whole);
    let failing = parts.find(|part| fails(&part.plan()));
    failing.expect("a thousand seeds hold everything")
}

/// A bug: who speaks after another server was down for more than an hour is not heard.
fn is_not_heard(plan: &Plan) -> bool {
    let mut steps = plan.steps.iter();
    let crash = steps.find(|step| {
        matches!(step.what, What::Fault(Fault::Crash(_))) && step.pause > Duration::from_secs(3_600)
    });
    let down = crash.map(|step| step.what.servers());
    down.is_some_and(|down| {
        steps.any(|step| {
            matches!(step.what, What::Deed(user, Deed::Say(..)) if !down.contains(&user.server))
        })
    })
}

#[test]
fn only_what_a_failure_needs_is_left() {
    let whole = failing(is_not_heard);
    let small = shrink(whole.clone(), TRIES, |part| is_not_heard(&part.plan())).part;
    let plan = small.plan();
    assert!(is_not_heard(&plan), "{plan}");
    let sizes = Kept::ALL.map(|kind| small.kept(kind).len());
    assert_eq!(sizes, [2, 2, 1, 0, 0], "{} became {plan}", whole.plan());
    assert!(plan.servers.iter().all(|server| server.skew == 0));
}

/// A bug that shows only when the plan is carried out: nobody may see a redaction.
#[test]
fn what_a_run_needs_is_left() {
    let shows = |part: &Part| {
        let report = run(&part.plan());
        report.is_ok_and(|report| report.branches.contains_key("notice Redacted"))
    };
    let honest = |part: &Part| part.plan().servers.iter().all(|server| !server.hostile);
    let seen = (0..1_000).map(Part::whole).filter(honest).find(shows);
    let whole = seen.expect("somebody redacts something");
    let plan = shrink(whole, TRIES, shows).part.plan();
    // Somebody creates, talks and redacts; whose room it is may have to be joined.
    assert!(plan.servers.len() <= 2 && plan.steps.len() <= 4, "{plan}");
}

#[test]
fn the_same_failure_shrinks_the_same_way() {
    let small = || {
        shrink(failing(is_not_heard), TRIES, |part| {
            is_not_heard(&part.plan())
        })
    };
    assert_eq!(small(), small());
}

#[test]
fn no_more_is_tried_than_allowed() {
    let mut tried = 0;
    let Shrunk { part, tries } = shrink(failing(is_not_heard), 7, |part| {
        tried += 1;
        is_not_heard(&part.plan())
    });
    assert_eq!((tried, tries), (7, 7));
    assert!(is_not_heard(&part.plan()));
}

#[test]
fn a_line_says_what_is_left() {
    let whole = Part::whole(226);
    let small = whole.without(Kept::Steps, &[3, 4, 17]);
    let small = small.without(Kept::Servers, &[1]);
    for part in [&whole, &small] {
        assert_eq!(part.to_string().parse().as_ref(), Ok(part));
    }
    assert_eq!("226".parse().as_ref(), Ok(&whole));
    assert_ne!(small.plan(), whole.plan());
    assert_eq!(whole.plan(), Plan::draw(226));
}

#[test]
fn a_line_that_names_no_part_is_refused() {
    for line in ["", "seed", "226 1,2", "226 steps 1-", "226 steps a"] {
        assert!(line.parse::<Part>().is_err(), "{line:?}");
    }
}
