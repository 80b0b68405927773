//! The little of XML that object stores answer: elements, texts and the five named characters. Attributes are passed over; what is more than
//! that (document types, CDATA) is refused.

/// Elements inside one another; answers have four levels.
const DEPTH_MAX: usize = 16;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The document's one element; `None` for what is none.
    #[must_use]
    pub fn parse(document: &str) -> Option<Element> {
        let mut rest = document.trim_start_matches('\u{feff}').trim_start();
        if let Some(declared) = rest.strip_prefix("<?") {
            rest = declared.split_once("?>")?.1.trim_start();
        }
        let (element, rest) = element(rest, DEPTH_MAX)?;
        rest.trim().is_empty().then_some(element)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn children(&self) -> impl Iterator<Item = &Element> {
        self.children.iter()
    }

    /// Of its first child of that name; empty where it has none.
    #[must_use]
    pub fn text_of(&self, name: &str) -> &str {
        self.children.iter().find(|child| child.name == name).map_or("", |child| &child.text)
    }
}

/// The element that the text begins with, and what comes after it.
fn element(text: &str, depth: usize) -> Option<(Element, &str)> {
    let (tag, mut rest) = text.strip_prefix('<')?.split_once('>')?;
    let is_empty = tag.ends_with('/');
    let name = tag.trim_end_matches('/').split_ascii_whitespace().next().filter(|name| !name.starts_with(['!', '?', '/']))?;
    let mut found = Element { name: name.to_owned(), ..Element::default() };
    if is_empty {
        return Some((found, rest));
    }
    let depth = depth.checked_sub(1)?;
    loop {
        let (before, _) = rest.split_once('<')?;
        found.text.push_str(&plain(before)?);
        rest = rest.get(before.len()..)?;
        if let Some(closing) = rest.strip_prefix("</") {
            let (closed, after) = closing.split_once('>')?;
            return (closed.trim_end() == found.name).then_some((found, after));
        }
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->")?.1;
            continue;
        }
        let (child, after) = element(rest, depth)?;
        found.children.push(child);
        rest = after;
    }
}

fn plain(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';')?;
        let letter = match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        };
        plain.push(letter);
        plain.push_str(rest);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_stores() {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<List xmlns=\"http://s3\"><Name>b</Name><!-- no --><Version><Key>a&amp;b \
                    &#34;&#x41;</Key><Size>2</Size></Version><Gone/><Version ><Key/></Version ></List>\n";
        let list = Element::parse(text).unwrap();
        assert_eq!((list.name(), list.text_of("Name"), list.text_of("Nothing")), ("List", "b", ""));
        let keys: Vec<&str> = list.children().filter(|child| child.name() == "Version").map(|child| child.text_of("Key")).collect();
        assert_eq!(keys, ["a&b \"A", ""]);
    }

    #[test]
    fn what_is_no_answer() {
        let deep = "<a>".repeat(40) + &"</a>".repeat(40);
        let wrong = [
            "",
            "a",
            "<",
            "<a",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a>&</a>",
            "<a>&x;</a>",
            "<a>&#xd800;</a>",
            "<!DOCTYPE a><a/>",
            "<a><![CDATA[x]]></a>",
            "<?xml",
            "<>",
            "</a>",
            &deep,
        ];
        for text in wrong {
            assert_eq!(Element::parse(text), None, "{text}");
        }
    }
}
