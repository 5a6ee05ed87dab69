test "the glass can be broken, at any hour, from anywhere" {
  as  = "breaking the glass"
  now = "2026-01-01T03:00:00Z"
  ip  = "203.0.113.7"
  session {
    labels = ["personal-data"]
  }
  call "cluster/pods_exec" {
    input  = { name = "web-0", command = ["sh"], namespace = "shop" }
    expect = "allow"
    by     = ["break-glass"]
  }
  call "cluster/resources_list" {
    input  = { apiVersion = "v1", kind = "Secret" }
    expect = "allow"
    by     = ["break-glass", "engineers-look"]
  }
  call "ledger/drop-collection" {
    input  = { connectionId = "main", database = "sales", collection = "broken" }
    expect = "allow"
    by     = ["break-glass"]
  }
  call "ledger/aggregate-db" {
    input  = { connectionId = "main", database = "admin", pipeline = [{}] }
    expect = "allow"
    by     = ["break-glass"]
  }
  call "ledger/update-many" {
    input  = { connectionId = "main", database = "sales", collection = "orders", update = {} }
    expect = "allow"
    by     = ["break-glass"]
  }
  call "ledger/list-collections" {
    input  = { connectionId = "main", database = "sales" }
    expect = "allow"
    by     = ["break-glass"]
  }
  call "web/resolve-library-id" {
    input  = { query = "how to restore", libraryName = "mongodb" }
    expect = "allow"
    by     = ["break-glass", "staff-looks-things-up"]
  }
  list { count = 15 }
}

test "but not without the key" {
  as = "break-glass without a key"
  call "cluster/pods_exec" {
    input   = { name = "web-0", command = ["sh"], namespace = "shop" }
    expect  = "deny"
    by      = []
    message = "Sign in with your security key to break the glass."
  }
  call "cluster/resources_get" {
    input  = { apiVersion = "v1", kind = "Secret", name = "db" }
    expect = "deny"
    by     = ["no-secrets"]
  }
}
