test "guests read the wiki, and nothing else" {
  as = "freelancer"
  call "wiki/API-retrieve-a-page" {
    input  = { page_id = "1" }
    expect = "allow"
    by     = ["guests-read-wiki"]
  }
  call "wiki/API-patch-page" {
    input  = { page_id = "1" }
    expect = "deny"
  }
  list {
    includes = ["wiki/API-retrieve-*"]
    excludes = ["files/*", "wiki/API-create-*"]
    count    = 3
  }
}

test "who is in no group sees nothing" {
  as = "stranger"
  list { count = 0 }
  call "wiki/API-get-user" {
    input  = { user_id = "1" }
    expect = "deny"
    by     = []
  }
}
