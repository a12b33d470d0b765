"""The papers' central claims, what they published, and how they are put to the test here."""

from __future__ import annotations

from dataclasses import dataclass

from pruneviz.errors import UnknownNameError

SCALES = ("minutes", "hours")


@dataclass(frozen=True)
class Claim:
    """One claim of a paper."""

    key: str
    title: str
    paper: str
    published: str
    """What the paper reports, in words and figures."""
    figures: tuple[tuple[str, float], ...]
    """The published figures that a result is drawn beside: label and value."""
    test: str
    """What must come out here for the claim to hold."""
    differs: str
    """What is different from the paper."""
    measure: str
    """What the values are: the label of the figure's axis."""
    networks: tuple[str, ...]
    module: str
    """Where its experiment is, in `pruneviz.studies.papers`."""
    percent: bool = True
    """Whether the values are fractions that are read as percentages."""
    details: str = ""
    """What the second figure shows, where there is one."""
    form: int = 1
    """Counts the forms of the experiment; results of an earlier one are shown as such."""
    changed: str = ""
    """What the latest form has that the one before had not."""

    @property
    def of_accuracy(self) -> bool:
        """Whether the values are accuracies, so that chance is something to compare them with."""
        return self.measure.startswith("accuracy")


CLAIMS = (
    Claim(
        key="oracle",
        title="Taylor tracks the oracle",
        paper="Molchanov et al. 2016, arXiv:1611.06440",
        published="Spearman's correlation with the oracle over all layers, VGG-16 on Birds-200: "
        "Taylor 0.73; activations, mean and standard deviation, 0.64 and 0.66; weight norm 0.33 "
        "(early draft of the paper).",
        figures=(
            ("Taylor, VGG-16 on Birds-200", 0.73),
            ("activations", 0.66),
            ("activations", 0.64),
            ("weight norm", 0.33),
        ),
        test="Over all layers, Taylor correlates better with the oracle than the weight norms, the "
        "mean and the standard deviation of the activation, and mutual information do.",
        differs="Small images and networks; the oracle is the change of the mean loss over a "
        "sample of training images when a unit (coupled channels together) is zeroed.",
        measure="Spearman correlation with the oracle, all layers",
        networks=("vgg16", "resnet20"),
        module="oracle",
        details="Within each layer: Spearman correlation with the oracle, mean over the seeds.",
        percent=False,
        form=2,
        changed="standard deviation of activations and mutual information among the rivals, each "
        "criterion raw as well as l2-normalised, the oracle signed as well as absolute",
    ),
    Claim(
        key="interleaved",
        title="Interleaved Taylor pruning keeps the accuracy",
        paper="Molchanov et al. 2016, arXiv:1611.06440",
        published="Large cuts in FLOPs with small losses of accuracy after transfer.",
        figures=(),
        test="With half of the MACs gone: within 1 point of the unpruned network fine-tuned with "
        "the same budget, and more accurate than the same loop with randomly chosen units.",
        differs="Small images and networks, trained on the data before; a budget of a few hundred "
        "updates; several units go at a time.",
        measure="accuracy (top-1), held-out images",
        networks=("vgg16", "resnet20"),
        module="interleaved",
        form=2,
        changed="variants without the FLOPs term and with a stronger one",
    ),
    Claim(
        key="soft",
        title="Soft filter pruning on ResNet-20",
        paper="He et al. 2018 (IJCAI), arXiv:1808.06866",
        published="ResNet-20 on CIFAR-10: 92.20 % to 90.83 % with 42.2 % of the FLOPs gone, from "
        "scratch.",
        figures=(("unpruned, CIFAR-10", 0.9220), ("soft, CIFAR-10", 0.9083)),
        test="With 42 % of the MACs gone, at most 1 point below the network's own baseline "
        "trained with the same budget.",
        differs="The paper's 42.2 % counts fractions of filters of every convolution; whole ones "
        "(the line of 30 %, narrow branches) save 39.0 %. In the other lines the share follows "
        "from the MACs target; accuracy is that of the network without the zeroed filters, "
        "its batch norms' statistics recomputed; the filters removed are "
        "those inside the blocks, as removing the streams' would narrow all layers of a stage. In "
        "minutes: digits instead of CIFAR-10, from trained weights, 6 epochs of 41 updates instead "
        "of 200 of 391. In hours: from scratch, 20 epochs of 375.",
        measure="accuracy (top-1), held-out images",
        networks=("resnet20",),
        module="soft",
        form=2,
        changed="the authors' own form, which zeroes a share of every convolution",
    ),
    Claim(
        key="widths",
        title="Binary search finds the widths on its own",
        paper="Zhang, Qin & Chan 2017 (ICONIP)",
        published="Higher compression at the accuracy of the original (abstract).",
        figures=(),
        test="Accuracy no further below the original's than the tolerance, and more parameters "
        "removed than by magnitude pruning, uniform or global, that keeps the same accuracy.",
        differs="Network, data and everything that the abstract leaves open: the order of the "
        "layers, the norm, what a trial trains. All trials of a rival together train for as many "
        "passes as the search.",
        measure="parameters removed at the accuracy of the original",
        networks=("vgg16",),
        module="binary_search",
        form=2,
        changed="rivals that train for as many passes as the search, global l2 among them",
    ),
    Claim(
        key="evolution",
        title="Evolution keeps accuracy at far fewer FLOPs",
        paper="Reinhold & Roisenberg 2019 (ICAISC)",
        published="A significant reduction of FLOPs.",
        figures=(),
        test="The hypervolume of the evolved front is above those of random search and of uniform "
        "L1 pruning with the same number of evaluations.",
        differs="The abstract names a genetic algorithm, filters and FLOPs, nothing more: one "
        "gene per unit, fitness without training, and NSGA-II are ours; fronts are measured again "
        "on images that the search did not see.",
        measure="hypervolume of accuracy × MACs saved, held-out images",
        networks=("vgg16", "resnet20"),
        module="evolution",
        percent=False,
        form=2,
        changed="evolution from plans of repaired sensitivity beside that from random networks",
    ),
    Claim(
        key="evolved",
        title="Evolved networks keep the accuracy",
        paper="Reinhold & Roisenberg 2019 (ICAISC)",
        published="A significant reduction of FLOPs in a network that was transferred to its task.",
        figures=(),
        test="With half of the MACs gone and fine-tuned: within 1 point of the unpruned network "
        "with the same budget, and no less accurate than Taylor's and Li's networks.",
        differs="All but transfer, filters, a genetic algorithm and FLOPs is ours. Small images "
        "and networks; transfer first, where the network was trained on other data, else an epoch "
        "on its own; evaluations of the fitness train nothing and are not counted as passes.",
        measure="accuracy (top-1), held-out images",
        networks=("vgg16", "resnet20"),
        module="evolved",
    ),
    Claim(
        key="soft_options",
        title="Soft filter pruning's own comparisons",
        paper="He et al. 2018 (IJCAI), arXiv:1808.06866",
        published="Filters that may come back leave the network a larger capacity than hard "
        "pruning does, and less depends on pretrained weights (abstract); rate, norm and interval "
        "are varied.",
        figures=(),
        test="At a rate of 30 %, soft pruning is more accurate than hard pruning (the first choice "
        "fixed to zero) and than uniform pruning to the same MACs, each with the same budget.",
        differs="Small sets and budgets; the lines of the rates, the norm, the interval and the "
        "start are shown, not judged.",
        measure="accuracy (top-1), held-out images",
        networks=("resnet20",),
        module="soft_options",
    ),
    Claim(
        key="regrowth",
        title="A zeroed filter comes back after one update, or never",
        paper="our question about He et al. 2018 (IJCAI), arXiv:1808.06866",
        published="Zeroed filters are updated in the next epoch and may come back (the method); "
        "the paper does not say how soon, or which ones.",
        figures=(),
        test="After one update a larger share of the zeroed filters give at least half of their "
        "former output (its deviation, behind the batch norm, on a batch in training) than the "
        "share of their norm that has come back; and 100 updates later that share of filters is "
        "the same, within 5 points: the others never come back.",
        differs="One zeroing of 30 % of the filters of a trained network. Filters stay silent "
        "where no gradient reaches them: their norm's offset is negative, and a ReLU follows.",
        measure="zeroed filters that are back after one update",
        networks=("resnet20",),
        module="soft_regrowth",
        details="Updates after the zeroing: filters that are back, their norms, and the accuracy.",
    ),
    Claim(
        key="updates",
        title="More updates between removals keep more",
        paper="Molchanov et al. 2016, arXiv:1611.06440",
        published="Pruned accuracy rises with the number of updates between removals (a figure).",
        figures=(),
        test="With the same removals and no fine-tuning after them, the most updates between "
        "removals leave the most accuracy.",
        differs="Small images and networks; 15 removals; 1,000 updates only in hours. Seconds are "
        "shown beside MACs.",
        measure="accuracy (top-1), held-out images",
        networks=("vgg16", "resnet20"),
        module="updates",
    ),
    Claim(
        key="pretraining",
        title="Pretrained networks prune better",
        paper="Hubens et al. 2020",
        published="Up to 80 % of the parameters of pretrained networks can go.",
        figures=(("removed, pretrained", 0.80),),
        test="The largest reduction of the parameters within 1 point of the baseline is larger "
        "from pretrained weights than from scratch, whether the baseline is each one's own or the "
        "better one's.",
        differs="Pretrained on CIFAR-10, not ImageNet, unless the result names ImageNet's weights; "
        "whole filters instead of weights; narrow networks, small images, small sets, few seeds.",
        measure="largest reduction of the parameters within 1 point",
        networks=("vgg16", "mobilenet_v2"),
        module="pretraining",
        form=2,
        changed="reductions up to 95 % of the parameters instead of 80 %",
        details="Accuracy as parameters go, after the same budget of fine-tuning at every point.",
    ),
)


def claims() -> tuple[Claim, ...]:
    """All claims."""
    return CLAIMS


def find_claim(key: str) -> Claim:
    """The claim of that name; `UnknownNameError` lists the choices."""
    for claim in CLAIMS:
        if claim.key == key:
            return claim
    raise UnknownNameError("claim", key, [claim.key for claim in CLAIMS])
