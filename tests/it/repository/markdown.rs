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

/// A code block and the language it says it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fence {
    pub language: String,
    pub text: String,
}

impl Fence {
    /// Whether a shell would run it.
    pub(crate) fn is_shell(&self) -> bool {
        matches!(self.language.as_str(), "sh" | "bash" | "shell" | "console")
    }

    /// What a shell would run: continued lines joined, comments and prompts taken away.
    pub(crate) fn commands(&self) -> Vec<String> {
        let joined = self.text.replace("\\\n", " ");
        let command = |line: &str| {
            let line = line.split(" #").next().unwrap_or_default();
            line.trim().trim_start_matches("$ ").to_owned()
        };
        joined.lines().map(command).filter(|line| !line.is_empty()).collect()
    }
}

/// The code blocks, in their order.
pub(crate) fn fences(text: &str) -> Vec<Fence> {
    let (mut found, mut open): (Vec<Fence>, bool) = (Vec::new(), false);
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            open = !open;
            if open {
                found.push(Fence {
                    language: language.trim().to_owned(),
                    text: String::new(),
                });
            }
        } else if let (true, Some(fence)) = (open, found.last_mut()) {
            fence.text.push_str(line);
            fence.text.push('\n');
        }
    }
    found
}

/// The lines of code blocks that a shell would run.
pub(crate) fn shell_lines(text: &str) -> Vec<String> {
    let blocks = fences(text);
    let shell = blocks.iter().filter(|fence| fence.is_shell());
    shell.flat_map(Fence::commands).collect()
}

/// What stands between backquotes outside code blocks.
pub(crate) fn inline_code(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
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
