//! Links, headings and commands of a Markdown text.

/// The targets of `[text](target)`, outside code.
pub(crate) fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let mut rest = line.as_str();
        while let Some(start) = rest.find("](") {
            rest = &rest[start + 2..];
            let Some(end) = rest.find(')') else { break };
            found.push(rest[..end].split(' ').next().unwrap_or_default().to_owned());
        }
    }
    found
}

/// The anchors of the headings, as GitHub makes them.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).into_iter().filter(|line| line.starts_with('#'));
    let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
    headings
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(kept)
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

/// The lines of code blocks that a shell would run: continued lines joined, comments and prompts taken away.
pub(crate) fn shell_lines(text: &str) -> Vec<String> {
    let (mut found, mut shell, mut fenced) = (Vec::new(), false, false);
    for line in text.replace("\\\n", " ").lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            shell = !fenced && matches!(language.trim(), "sh" | "bash" | "shell" | "console");
            fenced = !fenced;
        } else if shell {
            let command = line.split(" #").next().unwrap_or_default();
            found.push(command.trim().trim_start_matches("$ ").to_owned());
        }
    }
    found
}

/// The lines outside code blocks, with `code` in lines blanked.
fn prose(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join("code"));
        }
    }
    lines
}
