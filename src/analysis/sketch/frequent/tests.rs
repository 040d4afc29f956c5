use std::collections::HashMap;

use super::*;

/// Counts a stream of letters and holds every answer against the truth.
fn check(entries_max: usize, text_max: usize, stream: &[u8]) {
    let mut table = Frequent::<()>::new(Limits { entries_max, text_max });
    let mut truth = HashMap::<u8, u64>::new();
    let mut left = 0;
    for &letter in stream {
        *truth.entry(letter).or_default() += 1;
        let text = [letter];
        // A bad hash on purpose: all share a place.
        if let Some(counter) = table.find(u64::from(letter) << 32) {
            counter.add(1);
            continue;
        }
        if table.is_full(&text) {
            table.purge(|leaving| left += leaving.counts().map(|(_, count)| count).sum::<u64>());
        }
        table.insert(u64::from(letter) << 32, &text, 1, ());
    }
    let bound = 2 * stream.len() as u64 / entries_max as u64;
    assert!(table.offset() <= bound, "{stream:?}: {} > {bound}", table.offset());
    let stayed: u64 = table.iter().map(|(_, counter)| counter.count()).sum();
    assert_eq!(stayed + left, stream.len() as u64, "{stream:?}");
    for (&letter, &count) in &truth {
        let counter = table.find(u64::from(letter) << 32).map(|counter| *counter);
        let (lower, upper) = counter.map_or((0, table.offset()), |counter| (counter.count(), counter.upper()));
        assert!(
            lower <= count && count <= upper,
            "{stream:?}: {letter} is {count}, not {lower} to {upper}"
        );
    }
}

#[test]
fn every_stream_of_six_letters_is_counted_within_the_stated_error() {
    for entries_max in 1..=4 {
        for number in 0..6_u32.pow(6) {
            let stream: Vec<u8> = (0..6).map(|place| (number / 6_u32.pow(place) % 6) as u8).collect();
            check(entries_max, usize::MAX, &stream);
        }
    }
}

proptest::proptest! {
    #[test]
    fn long_streams_are_counted_within_the_stated_error(
        entries_max in 1_usize..40,
        stream in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000),
    ) {
        check(entries_max, usize::MAX, &stream);
        let skewed: Vec<u8> = stream.iter().map(|letter| letter & letter >> 3).collect();
        check(entries_max, usize::MAX, &skewed);
    }
}

#[test]
fn texts_take_no_more_room_than_they_may() {
    let mut table = Frequent::<()>::new(Limits {
        entries_max: 1000,
        text_max: 4096,
    });
    for number in 0..10_000_u64 {
        let text = format!("{number:0>300}");
        if table.is_full(text.as_bytes()) {
            table.purge(|leaving| {
                let lengths = leaving.counts().map(|(counter, _)| leaving.text_of(counter).1.len());
                lengths.for_each(|length| assert_eq!(length, 256));
            });
        }
        table.insert(number, text.as_bytes(), 1, ());
        assert!(table.texts_end <= 4096 && table.texts_end == table.len() * 256);
    }
}
