//! The inputs that fuzzing found worth keeping, asked again without a fuzzer.

use std::path::Path;

#[path = "../../fuzz/properties.rs"]
mod properties;

#[test]
fn streams_are_counted_however_they_are_cut() {
    check("line", properties::line);
}

#[test]
fn keys_are_the_same_through_the_tally_as_through_the_table() {
    check("keyspec", properties::keyspec);
}

#[test]
fn keys_get_the_same_patterns_each_time() {
    check("pattern", properties::pattern);
}

fn check(target: &str, property: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs = std::fs::read_dir(folder).expect("the corpus is in the repository");
    let mut asked = 0;
    for input in inputs {
        let input = input.expect("a readable folder").path();
        property(&std::fs::read(&input).expect("a readable input"));
        asked += 1;
    }
    assert!(asked > 0, "no input for {target}");
}
