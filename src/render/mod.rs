//! A report as text, Markdown, JSON, CSV or HTML. It refuses to know where a report came from.
