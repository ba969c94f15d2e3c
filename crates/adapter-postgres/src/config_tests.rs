use super::*;

fn parse(text: &str) -> DatabaseUrl {
    DatabaseUrl::parse(text).unwrap()
}

#[test]
fn all_three_schemes_are_read() {
    for scheme in ["postgresql", "postgres", "postgresql+asyncpg"] {
        let url = parse(&format!("{scheme}://me:p%40ss+%2F@db.example:6543/crm%20x"));
        assert_eq!((url.host(), url.port, url.user.as_str()), ("db.example".to_owned(), 6543, "me"));
        assert_eq!((url.exposed_password(), url.database()), (Some("p@ss+/"), "crm x"));
    }
}

#[test]
fn what_is_left_out_has_a_default() {
    let url = parse("postgresql://localhost");
    assert_eq!((url.port, url.user.as_str(), url.database()), (5432, "postgres", "postgres"));
}

#[test]
fn only_this_machine_is_spoken_to_in_plain_text() {
    let cases = [
        ("postgresql://u:p@localhost/d", Protection::Plain),
        ("postgresql://u:p@127.0.0.1/d", Protection::Plain),
        ("postgresql://u:p@[::1]/d", Protection::Plain),
        ("postgresql://u@/d?host=/run/postgresql", Protection::Plain),
        ("postgresql://u:p@127.0.0.1/d?sslmode=require", Protection::Encrypted),
        ("postgresql://u:p@db.example/d", Protection::KnownHost),
        ("postgresql://u:p@10.0.0.1/d?sslmode=prefer", Protection::KnownHost),
        ("postgresql://u:p@db.example/d?sslmode=disable", Protection::Plain),
        ("postgresql://u:p@db.example/d?sslmode=require", Protection::Encrypted),
        ("postgresql+asyncpg://u:p@db.example/d?ssl=require", Protection::Encrypted),
        ("postgresql://u:p@db.example/d?sslmode=require&sslrootcert=/ca.pem", Protection::KnownAuthority),
        ("postgresql://u:p@db.example/d?sslmode=verify-ca", Protection::KnownAuthority),
        ("postgresql://u:p@db.example/d?sslmode=verify-full", Protection::KnownHost),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text).protection, expected, "{text}");
    }
}

#[test]
fn a_refusal_names_the_variable_and_shows_no_password() {
    let cases = [
        ("", "is empty"),
        ("mysql://u:SECRET@h/d", "does not begin with"),
        ("SECRET", "is not an address"),
        ("postgresql://u:SECRET%@h/d", "`%` in the password"),
        ("postgresql://u:SECRET@h/d?sslmode=maybe", "unknown sslmode"),
        ("postgresql://u:SECRET@a,b/d", "several hosts"),
        ("postgresql://u:SECRET@/d", "has no host"),
        ("postgresql:///d", "has no host"),
        ("postgresql://u:[YOUR-PASSWORD]@h/d", "placeholder"),
        ("postgresql://u:SEC/RET@h/d", "is not an address"),
    ];
    for (text, expected) in cases {
        let message = DatabaseUrl::parse(text).unwrap_err().to_string();
        assert!(message.contains(expected) && message.starts_with("DATABASE_URL"), "{text}: {message}");
        assert!(message.contains(EXAMPLE) && !message.contains("SECRET"), "{message}");
    }
}

#[test]
fn neither_debug_nor_display_shows_the_password() {
    let url = parse("postgresql://u:SECRET@h:1/d");
    assert_eq!(format!("{url:?} {url}"), "DatabaseUrl(postgresql://u@h:1/d) postgresql://u@h:1/d");
}
