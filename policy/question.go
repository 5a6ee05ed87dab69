package policy

import (
	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// Question is what Cedar would be asked for a request if nothing were left out: all
// attributes of the principal and of the context, and all entities. It is for
// those who ask somebody else the same.
func (e *Engine) Question(r *Request) (cedar.Request, types.EntityMap, error) {
	p := r.Principal
	attributes := types.RecordMap{}
	for _, name := range p.attributes() {
		if v, ok := p.attribute(name); ok {
			attributes[types.String(name)] = v
		}
	}
	var parents []types.EntityUID
	p.parents(func(uid types.EntityUID) { parents = append(parents, uid) })
	principal := e.merge(types.Entity{
		UID: p.uid(), Parents: types.NewEntityUIDSet(parents...), Attributes: types.NewRecord(attributes), Tags: p.tags(),
	})
	about := e.about(r.Object)
	context, err := e.context(r, p.Auth, p.app(), about, &reads{whole: true, all: true})
	if err != nil {
		return cedar.Request{}, nil, err
	}
	w := &world{class: &class{engine: e, entity: principal, app: p.app()}, about: about}
	entities := e.entities.Clone()
	if entities == nil {
		entities = types.EntityMap{}
	}
	needed := []types.EntityUID{principal.UID, about.entity.UID, p.app(), types.NewEntityUID(typeUpstream, types.String(r.Object.upstream))}
	for uid := range e.reads.uids {
		needed = append(needed, uid)
	}
	for _, uid := range needed {
		if entity, ok := w.Get(uid); ok {
			entities[uid] = entity
		}
	}
	return cedar.Request{Principal: principal.UID, Action: actions[r.Object.kind], Resource: about.entity.UID, Context: context}, entities, nil
}
