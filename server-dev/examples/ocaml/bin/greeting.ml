let text = "hello from OCaml"
