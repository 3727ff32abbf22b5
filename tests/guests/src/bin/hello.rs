//! Prints its arguments and one variable, on both streams; exits with the code it is told.

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    println!("hello from {}", arguments[0]);
    println!("arguments: {:?}", &arguments[1..]);
    println!("GREETING: {:?}", std::env::var("GREETING"));
    eprintln!("a word on stderr");
    let code = arguments.get(1).and_then(|code| code.parse().ok());
    std::process::exit(code.unwrap_or(0));
}
