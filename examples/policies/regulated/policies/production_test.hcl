test "engineers look, and change nothing" {
  as = "engineer"
  call "cluster/pods_log" {
    input  = { name = "web-0", namespace = "shop" }
    expect = "allow"
    by     = ["engineers-look"]
  }
  call "cluster/resources_get" {
    input   = { apiVersion = "v1", kind = "Secret", name = "db", namespace = "shop" }
    expect  = "deny"
    by      = ["no-secrets"]
    message = "Secrets of the cluster are in the vault: https://vault.contoso.com"
  }
  call "cluster/pods_exec" {
    input  = { name = "web-0", command = ["sh"] }
    expect = "deny"
    by     = []
  }
  list {
    includes = ["cluster/pods_log", "cluster/resources_*t", "web/*"]
    excludes = ["cluster/pods_exec", "cluster/resources_scale", "ledger/*"]
  }
}

test "who is on call scales within bounds" {
  as = "on call"
  call "cluster/resources_scale" {
    input  = { apiVersion = "apps/v1", kind = "Deployment", name = "web", namespace = "shop", scale = 20 }
    expect = "allow"
    by     = ["on-call-scales"]
  }
  call "cluster/resources_scale" {
    input  = { apiVersion = "apps/v1", kind = "Deployment", name = "web", namespace = "shop", scale = 21 }
    expect = "deny"
    by     = []
  }
  call "cluster/resources_scale" {
    input  = { apiVersion = "apps/v1", kind = "Deployment", name = "dns", namespace = "kube-system", scale = 1 }
    expect = "deny"
  }
  # Without a namespace it is that of the server's own configuration.
  call "cluster/resources_scale" {
    input  = { apiVersion = "apps/v1", kind = "Deployment", name = "web", scale = 2 }
    expect = "deny"
  }
}

test "not at night" {
  as  = "on call"
  now = "2026-01-01T23:30:00Z"
  call "cluster/resources_scale" {
    input   = { apiVersion = "apps/v1", kind = "Deployment", name = "web", namespace = "shop", scale = 2 }
    expect  = "deny"
    by      = ["change-window"]
    message = "Production is changed between 07:00 and 17:00 UTC."
  }
  call "cluster/pods_list_in_namespace" {
    input  = { namespace = "shop" }
    expect = "allow"
  }
}

test "not before breakfast either" {
  as  = "on call"
  now = "2026-01-01T06:59:59Z"
  call "cluster/resources_scale" {
    input  = { apiVersion = "apps/v1", kind = "Deployment", name = "web", namespace = "shop", scale = 2 }
    expect = "deny"
    by     = ["change-window"]
  }
}

test "approvers delete pods after they have just signed in" {
  as = "approver"
  call "cluster/pods_delete" {
    input  = { name = "web-0", namespace = "shop" }
    expect = "allow"
    by     = ["approvers-delete-pods"]
  }
}

test "not hours later" {
  as = "approver since this morning"
  call "cluster/pods_delete" {
    input   = { name = "web-0", namespace = "shop" }
    expect  = "deny"
    by      = []
    message = "Deleting a pod takes the role change-approver, and a sign-in with a second factor in the last 15 minutes."
  }
}

test "and nobody else" {
  as = ["engineer", "on call"]
  call "cluster/pods_delete" {
    input  = { name = "web-0", namespace = "shop" }
    expect = "deny"
    by     = []
  }
  list { excludes = ["cluster/pods_delete"] }
}
