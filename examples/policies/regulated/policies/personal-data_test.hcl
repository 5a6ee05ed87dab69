test "analysts read some at a time" {
  as = "analyst"
  call "ledger/find" {
    input  = { connectionId = "main", database = "sales", collection = "orders", limit = 100 }
    expect = "allow"
    by     = ["analysts-read"]
  }
  call "ledger/find" {
    input  = { connectionId = "main", database = "sales", collection = "orders" } # 10 by default
    expect = "allow"
  }
  call "ledger/find" {
    input  = { connectionId = "main", database = "sales", collection = "orders", limit = 101 }
    expect = "deny"
    by     = []
  }
  call "ledger/find" {
    input  = { connectionId = "main", database = "people", collection = "salaries" }
    expect = "deny"
  }
  call "ledger/count" {
    input  = { connectionId = "main", database = "people", collection = "salaries" }
    expect = "allow"
    by     = ["analysts-count"]
  }
  list {
    includes = ["ledger/find", "ledger/count", "ledger/list-collections", "web/*"]
    excludes = ["cluster/*", "ledger/update-many", "ledger/drop-collection", "ledger/aggregate-db"]
  }
}

test "not from home" {
  as = "analyst at home"
  call "ledger/count" {
    input   = { connectionId = "main", database = "sales", collection = "orders" }
    expect  = "deny"
    by      = ["from-our-network"]
    message = "Personal data is used from the company's network only."
  }
}

test "who has seen personal data does not ask the web" {
  as = ["analyst", "engineer"]
  session {
    calls  = 3
    labels = ["personal-data"]
  }
  call "web/query-docs" {
    input  = { libraryId = "/mongodb/docs", query = "Jane Doe, born 1970" }
    expect = "deny"
    by     = ["no-leaks"]
  }
}

test "who has not does" {
  as = ["analyst", "engineer"]
  call "web/query-docs" {
    input  = { libraryId = "/mongodb/docs", query = "aggregate" }
    expect = "allow"
    by     = ["staff-looks-things-up"]
  }
}

test "guests see nothing" {
  as = "guest"
  list { count = 0 }
  call "web/query-docs" {
    input  = { libraryId = "/mongodb/docs", query = "aggregate" }
    expect = "deny"
    by     = []
  }
}

test "without knowing somebody's groups nothing is decided" {
  as = "somebody with unknown groups"
  list { count = 0 }
  call "web/query-docs" {
    input  = { libraryId = "/mongodb/docs", query = "aggregate" }
    expect = "deny"
    by     = []
  }
}
