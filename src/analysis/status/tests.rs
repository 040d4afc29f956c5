use super::*;

/// A letter of the walks: a deviation in percent, `small` of a shard below the floor, `idle`, `?`.
fn standing(word: &str) -> Standing {
    let compared = |percent: &str, reaches_floor| Standing::Compared {
        deviation: Ratio(percent.parse::<f64>().expect("a percentage") / 100.0),
        skew: Ratio(1.0),
        reaches_floor,
    };
    match word {
        "?" => Standing::Unknown,
        "idle" => Standing::Idle {
            deviation: None,
            skew: Ratio(1.0),
        },
        small if small.starts_with("small") => compared(small.trim_start_matches("small"), false),
        percent => compared(percent, true),
    }
}

fn check(walk: &str, expected: &str) {
    let (settings, mut tracker) = (StatusSettings::default(), StatusTracker::default());
    let statuses: Vec<_> = walk
        .split(' ')
        .map(|word| tracker.observe(&standing(word), &settings).kind())
        .collect();
    assert_eq!(statuses.join(" "), expected, "{walk}");
}

#[test]
fn a_status_is_entered_at_once() {
    check("26 51 -26 0", "hot very_hot very_hot normal");
    check("0 25 26 50 51", "normal normal hot hot very_hot");
    check("0 -25 -26", "normal normal cold");
    check("-60 60", "cold very_hot");
}

#[test]
fn a_status_is_left_five_points_below_where_it_was_entered_after_two_polls() {
    check(
        "51 46 45 44 46 44 44",
        "very_hot very_hot very_hot very_hot very_hot very_hot hot",
    );
    check("30 21 20 19 21 19 19", "hot hot hot hot hot hot normal");
    check("60 22 22", "very_hot very_hot hot");
    check("60 0 0", "very_hot very_hot normal");
    check("-30 -21 -19 -21 -19 -19", "cold cold cold cold cold normal");
    check("30 -30 -30", "hot hot cold");
}

#[test]
fn below_the_floor_nothing_is_hot() {
    check("small90 small90", "normal normal");
    check("90 small90 small90", "very_hot very_hot normal");
    check("small-30", "cold");
}

#[test]
fn an_idle_group_is_neither_hot_nor_cold() {
    check("idle 0 idle 0 idle idle", "idle normal normal normal normal idle");
    check("60 idle idle", "very_hot very_hot idle");
    check("idle 60", "idle very_hot");
}

#[test]
fn without_a_figure_it_is_unknown_at_once_and_nothing_is_remembered() {
    check("60 ? 46", "very_hot unknown hot");
    check("? 0 ?", "unknown normal unknown");
}

#[test]
fn every_walk_of_six_polls_keeps_to_the_rules() {
    const LETTERS: [&str; 9] = ["60", "47", "30", "22", "0", "-22", "-30", "small60", "idle"];
    let standings = LETTERS.map(standing);
    let settings = StatusSettings::default();
    let mut walks = vec![(StatusTracker::default(), Vec::<usize>::new())];
    for _ in 0..6 {
        walks = walks
            .into_iter()
            .flat_map(|(tracker, walked)| {
                (0..LETTERS.len()).map(move |letter| (tracker, [walked.as_slice(), &[letter]].concat()))
            })
            .map(|(mut tracker, walked)| {
                let before = tracker.status();
                let after = tracker.observe(&standings[walked[walked.len() - 1]], &settings);
                let words: Vec<&str> = walked.iter().map(|letter| LETTERS[*letter]).collect();
                keeps_to_the_rules(&words, before, after);
                (tracker, walked)
            })
            .collect();
    }
}

fn keeps_to_the_rules(words: &[&str], before: Status, after: Status) {
    let last = words[words.len() - 1];
    let same_twice = words.len() >= 2 && words[words.len() - 2] == last;
    let last_two = |set: &[&str]| words.len() >= 2 && words[words.len() - 2..].iter().all(|word| set.contains(word));
    assert!(
        !last_two(&["0", "-22", "-30", "small60", "idle"]) || !after.is_hot(),
        "{words:?}"
    );
    assert!(
        !last_two(&["60", "47", "30", "22", "0", "small60", "idle"]) || after != Status::Cold,
        "{words:?}"
    );
    if matches!(last, "47" | "30") {
        assert!(after.is_hot(), "{words:?}");
    }
    let settled = match last {
        "30" => Some(Status::Hot),
        "0" | "small60" => Some(Status::Normal),
        "-30" => Some(Status::Cold),
        "idle" => Some(Status::Idle),
        _ => None,
    };
    if same_twice && let Some(settled) = settled {
        assert_eq!(after, settled, "{words:?}");
    }
    assert!(last != "60" || after == Status::VeryHot, "{words:?}");
    // In the hysteresis of a status it is kept, and it isn't entered.
    match last {
        "47" => assert_eq!(after == Status::VeryHot, before == Status::VeryHot, "{words:?}"),
        "22" => assert!(!after.is_hot() || before.is_hot(), "{words:?}"),
        "-22" => assert!(after != Status::Cold || before == Status::Cold, "{words:?}"),
        _ => {}
    }
}

/// Rates to `deviation skew` of each, in percent; floor 100.
fn check_comparison(rates: &[Option<f64>], expected: &str) {
    let shown: Vec<String> = compare(rates, 100.0)
        .iter()
        .map(|standing| match standing {
            Standing::Unknown => "unknown".into(),
            Standing::Idle { skew, .. } => format!("idle {:.0}", skew.0 * 100.0),
            Standing::Compared {
                deviation,
                skew,
                reaches_floor,
            } => {
                let small = if *reaches_floor { "" } else { " small" };
                format!("{:+.0} {:.0}{small}", deviation.0 * 100.0, skew.0 * 100.0)
            }
        })
        .collect();
    assert_eq!(shown.join(", "), expected);
}

#[test]
fn deviation_is_from_the_mean_and_skew_against_the_median_of_the_others() {
    check_comparison(&[Some(400.0), Some(200.0)], "+33 200, -33 50");
    check_comparison(
        &[Some(900.0), Some(300.0), Some(200.0), Some(200.0)],
        "+125 450, -25 150, -50 67, -50 67",
    );
    check_comparison(&[Some(300.0), Some(300.0), Some(300.0)], "+0 100, +0 100, +0 100");
}

#[test]
fn the_median_is_never_less_than_the_floor() {
    check_comparison(
        &[Some(500.0), Some(0.0), Some(0.0)],
        "+200 500, -100 0 small, -100 0 small",
    );
    check_comparison(&[Some(99.0), Some(1.0)], "idle 99, idle 1");
    check_comparison(&[Some(0.0), Some(0.0)], "idle 0, idle 0");
}

#[test]
fn an_unobserved_shard_bends_neither_mean_nor_median() {
    check_comparison(&[Some(400.0), None, Some(200.0)], "+33 200, unknown, -33 50");
    check_comparison(&[Some(400.0), None], "unknown, unknown");
    check_comparison(&[], "");
}
