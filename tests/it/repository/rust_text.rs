//! Just enough of Rust's grammar to find the paths that a source names.

/// Every `a::b::c` of the text, groups in braces spelled out, with the number of modules it stands in.
pub(crate) fn names(words: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut braces: Vec<bool> = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let word = words[at].as_str();
        if is_name(word) && words.get(at + 1).is_some_and(|next| next == "::") {
            let mut names = Vec::new();
            at = path(words, at, &[], &mut names);
            let inside = braces.iter().filter(|module| **module).count();
            found.extend(names.into_iter().map(|name| (inside, name)));
            continue;
        }
        match word {
            "{" => braces.push(at >= 2 && words[at - 2] == "mod"),
            "}" => drop(braces.pop()),
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads one path from `at`, with what stands before it; returns where it ends.
fn path(words: &[String], mut at: usize, before: &[String], names: &mut Vec<Vec<String>>) -> usize {
    let mut name = before.to_vec();
    while let Some(word) = words.get(at) {
        if word == "{" && !name.is_empty() {
            return group(words, at + 1, &name, names);
        }
        if !is_name(word) && word != "*" {
            break;
        }
        name.push(word.clone());
        at += 1;
        if words.get(at).is_none_or(|next| next != "::") {
            break;
        }
        at += 1;
    }
    names.push(name);
    at.max(1)
}

fn group(words: &[String], mut at: usize, before: &[String], names: &mut Vec<Vec<String>>) -> usize {
    while let Some(word) = words.get(at) {
        match word.as_str() {
            "}" => return at + 1,
            "," => at += 1,
            // `as name`
            "as" => at += 2,
            _ if is_name(word) || word == "*" => at = path(words, at, before, names),
            _ => at += 1,
        }
    }
    at
}

fn is_name(word: &str) -> bool {
    word.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

/// The text as words and marks, without comments, strings and characters.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = blank(rest).unwrap_or_else(|| {
            let length = match first {
                _ if is_name(&rest[..first.len_utf8()]) => rest
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(rest.len()),
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            if !first.is_whitespace() {
                words.push(rest[..length].to_owned());
            }
            length
        });
        rest = &rest[length..];
    }
    words
}

/// The length of the comment, string, character or lifetime that the text begins with.
fn blank(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(comment(text));
    }
    if text.starts_with('\'') {
        return Some(quote(text));
    }
    let raw = text.strip_prefix("br").or_else(|| text.strip_prefix('r'));
    if let Some(hashes) = raw.map(|after| after.len() - after.trim_start_matches('#').len())
        && let Some(body) = raw.and_then(|after| after[hashes..].strip_prefix('"'))
    {
        let end = format!("\"{}", "#".repeat(hashes));
        let closed = body.find(&end).map_or(body.len(), |at| at + end.len());
        return Some(text.len() - body.len() + closed);
    }
    text.starts_with('"').then(|| 1 + string(&text[1..]))
}

fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        match text.get(at..at + 2) {
            Some("/*") => (depth, at) = (depth + 1, at + 2),
            Some("*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(body: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in body.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    body.len()
}

/// A character literal whole; of a lifetime, its mark alone.
fn quote(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), Some(_)) => letters
            .find(|(_, letter)| *letter == '\'')
            .map_or(text.len(), |(at, _)| at + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}
